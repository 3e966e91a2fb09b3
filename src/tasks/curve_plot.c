// The curve as an SVG: accuracy with its error bars over the number of examples, as figure 1.2 of Brown et al. (2020)
// draws it. The axis of examples grows as log(K + 1), so that zero-shot has a place.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/os.h"
#include "tasks/buffer.h"
#include "tasks/curve.h"
#include "tasks/utf8_stream.h"

#define WIDTH 640
#define HEIGHT 420
#define LEFT 70
#define RIGHT 620
#define TOP 64
#define BOTTOM 350
#define PADDING 26 // between the vertical axis and the first point
#define COLOR "#2a6fb0"

static void add_escaped(struct Buffer *svg, const char *text)
{
    struct Utf8 utf8 = {.have = 0};
    for (; *text; text++) {
        switch (*text) {
        case '&': buffer_text(svg, "&amp;"); break;
        case '<': buffer_text(svg, "&lt;"); break;
        case '>': buffer_text(svg, "&gt;"); break;
        default:
            if ((unsigned char)*text >= 0x20) utf8_add(&utf8, text, 1, svg); // XML has no other control characters
        }
    }
    utf8_end(&utf8, svg);
}

static double place_x(const struct Curve *curve, size_t shots)
{
    size_t most = 1;
    for (size_t i = 0; i < curve->count; i++) most = curve->points[i].shots > most ? curve->points[i].shots : most;
    return LEFT + PADDING + log1p((double)shots) / log1p((double)most) * (RIGHT - LEFT - 2 * PADDING);
}

static double place_y(double value) { return BOTTOM - value * (BOTTOM - TOP); }

static void draw_axes(const struct Curve *curve, struct Buffer *svg)
{
    for (int percent = 0; percent <= 100; percent += 20) {
        double y = place_y(percent / 100.0);
        buffer_format(svg, "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", LEFT, y, RIGHT, y);
        buffer_format(svg, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%d</text>\n", LEFT - 8, y + 4, percent);
    }
    buffer_format(svg, "<path d=\"M%d %dV%dH%d\" fill=\"none\" stroke=\"#333\"/>\n", LEFT, TOP, BOTTOM, RIGHT);
    for (size_t i = 0; i < curve->count; i++) {
        double x = place_x(curve, curve->points[i].shots);
        buffer_format(svg, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#333\"/>\n", x, BOTTOM, x,
                      BOTTOM + 5);
        buffer_format(svg, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%zu</text>\n", x, BOTTOM + 19,
                      curve->points[i].shots);
    }
    buffer_format(svg, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">number of examples in the context (K)</text>\n",
                  (LEFT + RIGHT) / 2, BOTTOM + 44);
    buffer_format(svg, "<text transform=\"translate(22 %d) rotate(-90)\" text-anchor=\"middle\">", (TOP + BOTTOM) / 2);
    add_escaped(svg, measure_title(curve->measure));
    buffer_text(svg, " (%)</text>\n");
}

static void draw_points(const struct Curve *curve, struct Buffer *svg)
{
    buffer_text(svg, "<polyline fill=\"none\" stroke=\"" COLOR "\" stroke-width=\"2\" points=\"");
    for (size_t i = 0; i < curve->count; i++)
        buffer_format(svg, "%s%.1f,%.1f", i ? " " : "", place_x(curve, curve->points[i].shots),
                      place_y(point_estimate(&curve->points[i], curve->measure).value));
    buffer_text(svg, "\"/>\n");
    for (size_t i = 0; i < curve->count; i++) {
        struct Estimate e = point_estimate(&curve->points[i], curve->measure);
        double x = place_x(curve, curve->points[i].shots), low = place_y(e.low), high = place_y(e.high);
        buffer_format(svg, "<path d=\"M%.1f %.1fV%.1fM%.1f %.1fh8M%.1f %.1fh8\" stroke=\"" COLOR "\"/>\n", x, low, high,
                      x - 4, low, x - 4, high);
        buffer_format(svg,
                      "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"" COLOR
                      "\"><title>K = %zu: %.1f %% (%.1f to %.1f), %zu items</title></circle>\n",
                      x, place_y(e.value), curve->points[i].shots, 100 * e.value, 100 * e.low, 100 * e.high,
                      curve->points[i].items);
    }
}

int curve_plot(const struct Curve *curve, const char *path, vkgpt_error *err)
{
    if (!curve->count) return 0;
    struct Buffer svg = {0};
    buffer_format(
        &svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"13\">\n",
        WIDTH, HEIGHT);
    buffer_format(&svg, "<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n", WIDTH, HEIGHT);
    buffer_format(&svg, "<text x=\"%d\" y=\"28\" font-size=\"16\">", LEFT);
    add_escaped(&svg, curve->task);
    buffer_format(&svg, "</text>\n<text x=\"%d\" y=\"48\" fill=\"#555\">", LEFT);
    add_escaped(&svg, curve->model);
    buffer_format(&svg, ", %zu items, bars: 95 %% confidence</text>\n", curve->points[0].items);
    draw_axes(curve, &svg);
    draw_points(curve, &svg);
    buffer_text(&svg, "</svg>\n");
    int code = os_write(path, svg.data, svg.bytes, err);
    buffer_free(&svg);
    return code;
}
