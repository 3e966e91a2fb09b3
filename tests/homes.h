// Homes that are no use: none at all, one that is no folder, one that cannot be written, and a file in the place of the
// folder of caches. Root may write into any folder that a test could make, but not into /proc.
#ifndef TESTS_HOMES_H
#define TESTS_HOMES_H

#define HOMES 5

// Sets HOME and XDG_CACHE_HOME; `dir` has to be a folder in which a file may be made.
void home_set(int which, const char *dir);
void home_restore(void); // as they were before home_set

#endif
