#include "hub/http.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/os.h"

#define TRIES 5 // in a row that bring nothing new
#define CONNECT_SECONDS 30L
#define QUIET_SECONDS 60L  // without a byte: the connection counts as cut
#define LONGEST_WAIT 300.0 // seconds that a server may ask for with Retry-After
#define FIRST_WAIT 0.5     // seconds before the second try; each wait is twice as long as the one before

struct Http {
    CURL *curl;
    void (*note)(const char *sentence);
    char why[CURL_ERROR_SIZE];
};

// One request, while it runs.
struct Request {
    struct Http *http;
    struct Buffer *body; // of http_text
    size_t limit;
    struct Sink *sink; // of http_file
    bool begun;        // the first byte of the body has come
    bool too_long;
    vkgpt_error failure; // what the sink said
};

// ------------------------------------------------------------------------------------------------ one request

static long status_of(CURL *curl)
{
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static size_t take_text(struct Request *r, const char *data, size_t bytes)
{
    r->too_long = bytes > r->limit - r->body->bytes;
    if (r->too_long) return 0;
    buffer_add(r->body, data, bytes);
    return bytes;
}

// A server that knows no ranges sends the file from its beginning.
static size_t take_file(struct Request *r, const char *data, size_t bytes)
{
    struct Sink *sink = r->sink;
    long status = status_of(r->http->curl);
    if (status != 200 && status != 206) return bytes; // a page about an error
    if (!r->begun && status == 200 && sink->have) {
        if (sink->restart(sink->user, &r->failure)) return 0;
        sink->have = 0;
    }
    r->begun = true;
    r->too_long = bytes > sink->total - sink->have;
    if (r->too_long || sink->add(sink->user, data, bytes, &r->failure)) return 0;
    sink->have += bytes;
    return bytes;
}

static size_t on_data(char *data, size_t size, size_t count, void *user)
{
    struct Request *r = user;
    return r->sink ? take_file(r, data, size * count) : take_text(r, data, size * count);
}

static int on_progress(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)user, (void)a, (void)b, (void)c, (void)d;
    return os_interrupted(); // not 0: libcurl ends the request
}

static CURLcode perform(struct Request *r, const char *url)
{
    CURL *curl = r->http->curl;
    char range[32];
    uint64_t have = r->sink ? r->sink->have : 0;
    r->begun = r->too_long = false;
    r->http->why[0] = '\0';
    snprintf(range, sizeof range, "%" PRIu64 "-", have);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(curl, CURLOPT_RANGE, have ? range : NULL);
    return curl_easy_perform(curl);
}

// ------------------------------------------------------------------------------------------------ as often as needed

static bool is_cut(CURLcode result)
{
    switch (result) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR: return true;
    default: return false;
    }
}

static bool is_busy(long status) { return status == 429 || status >= 500; }

static double retry_after(CURL *curl)
{
    curl_off_t seconds = 0;
    curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &seconds);
    return (double)seconds;
}

static const char *words_of(const struct Request *r, CURLcode result)
{
    return r->http->why[0] ? r->http->why : curl_easy_strerror(result);
}

// Tests set less.
static double first_wait(void)
{
    const char *value = getenv("VKGPT_PULL_WAIT");
    double seconds = value ? strtod(value, NULL) : FIRST_WAIT;
    return seconds >= 0.0 && seconds < FIRST_WAIT ? seconds : FIRST_WAIT;
}

// Waits before the next try, and says why.
static int wait_for(struct Request *r, const char *url, CURLcode result, double asked, int tries, vkgpt_error *err)
{
    char sentence[768];
    double seconds = asked > 0 ? asked : (double)(1 << (tries - 1)) * first_wait();
    long status = status_of(r->http->curl);
    if (seconds > LONGEST_WAIT)
        return fail(err, VKGPT_BAD_FILE, "%s: the server asks for a wait of %.0f s; please try again then", url,
                    seconds);
    if (result != CURLE_OK)
        snprintf(sentence, sizeof sentence, "%.300s: %.200s; trying again", url, words_of(r, result));
    else
        snprintf(sentence, sizeof sentence, "%.300s: the server answers %ld; trying again in %.0f s", url, status,
                 seconds);
    clean_sentence(sentence);
    if (r->http->note) r->http->note(sentence);
    os_wait(seconds);
    return 0;
}

static int fail_request(struct Request *r, const char *url, CURLcode result, vkgpt_error *err)
{
    if (os_interrupted()) return fail(err, VKGPT_INTERRUPTED, "%s: interrupted; the next pull goes on from here", url);
    if (r->failure.code) {
        if (err) *err = r->failure;
        return r->failure.code;
    }
    if (r->too_long && r->sink)
        return fail(err, VKGPT_BAD_FILE, "%s: the server sends more than the %" PRIu64 " bytes that the hub says", url,
                    r->sink->total);
    if (r->too_long) return fail(err, VKGPT_BAD_FILE, "%s: the answer is longer than %zu bytes", url, r->limit);
    return fail(err, VKGPT_BAD_FILE, "%s: %s", url, words_of(r, result));
}

// Whether a file that came without an error is whole: a server without a length may just end.
static bool is_short(const struct Request *r, long status)
{
    return r->sink && (status == 200 || status == 206) && r->sink->have < r->sink->total;
}

static int fail_short(const struct Request *r, const char *url, vkgpt_error *err)
{
    return fail(err, VKGPT_BAD_FILE, "%s: the server ends after %" PRIu64 " bytes, and the hub says %" PRIu64, url,
                r->sink->have, r->sink->total);
}

static int run(struct Request *r, const char *url, struct Answer *answer, vkgpt_error *err)
{
    for (int tries = 1;; tries++) {
        uint64_t before = r->sink ? r->sink->have : 0;
        if (r->body) buffer_cut(r->body, 0);
        CURLcode result = perform(r, url);
        *answer = (struct Answer){status_of(r->http->curl), retry_after(r->http->curl)};
        bool cut = is_cut(result) || (result == CURLE_OK && is_short(r, answer->status));
        bool busy = result == CURLE_OK && is_busy(answer->status);
        if (r->sink && r->sink->have > before) tries = 1; // it goes on
        if (os_interrupted() || (!cut && !busy && result != CURLE_OK)) return fail_request(r, url, result, err);
        if (r->sink && answer->status == 416) return fail_short(r, url, err); // there is nothing behind what came
        if (!cut && !busy) return 0;
        if (tries < TRIES) {
            int code = wait_for(r, url, cut && result == CURLE_OK ? CURLE_PARTIAL_FILE : result, answer->retry_after,
                                tries, err);
            if (code) return code;
            continue;
        }
        if (busy) return 0; // the caller says what the status means
        if (result != CURLE_OK) return fail_request(r, url, result, err);
        return fail_short(r, url, err);
    }
}

int http_text(struct Http *http, const char *url, size_t limit, struct Buffer *body, struct Answer *answer,
              vkgpt_error *err)
{
    struct Request r = {.http = http, .body = body, .limit = limit};
    return run(&r, url, answer, err);
}

int http_file(struct Http *http, const char *url, struct Sink *sink, struct Answer *answer, vkgpt_error *err)
{
    struct Request r = {.http = http, .sink = sink};
    return run(&r, url, answer, err);
}

// ------------------------------------------------------------------------------------------------ opening

// libcurl drops the token where a redirect leads to another host or port, or from https to http.
static void set_options(struct Http *http, const char *token)
{
    CURL *curl = http->curl;
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 10L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "vkgpt/" VKGPT_VERSION);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, QUIET_SECONDS);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, http->why);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    if (!token) return;
    curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, token);
}

int http_open(const char *token, void (*note)(const char *sentence), struct Http **opened, vkgpt_error *err)
{
    struct Http *http = calloc(1, sizeof *http);
    *opened = NULL;
    if (!http) return fail_memory(err, "the connection", sizeof *http);
    http->note = note;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) http->curl = curl_easy_init();
    if (!http->curl) {
        free(http);
        return fail(err, VKGPT_BAD_FILE, "libcurl does not start");
    }
    set_options(http, token);
    *opened = http;
    return 0;
}

void http_close(struct Http *http)
{
    if (!http) return;
    curl_easy_cleanup(http->curl);
    curl_global_cleanup();
    free(http);
}
