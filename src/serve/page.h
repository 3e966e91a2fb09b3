// The page at /: a playground in one HTML file (page/page.html, page.css and page.js), with a NUL at its end.
#ifndef VKGPT_SERVE_PAGE_H
#define VKGPT_SERVE_PAGE_H

extern const unsigned char SERVE_PAGE[];

#endif
