"use strict";
const ALTERNATIVES = 5, NUMBERS = ["max_tokens", "temperature", "top_k", "top_p", "min_p", "repeat_penalty"];
const at = (id) => document.getElementById(id);
let running = null;

function headers() {
    const key = at("key").value;
    return { "Content-Type": "application/json", ...(key ? { Authorization: "Bearer " + key } : {}) };
}

function say(text, wrong) {
    at("state").textContent = text;
    at("state").className = wrong ? "error" : "";
}

// The seed goes into the text by itself: a number of JavaScript holds 53 bits of its 64.
function body() {
    const fields = { prompt: at("prompt").value, stream: true, logprobs: ALTERNATIVES };
    for (const name of NUMBERS) if (at(name).value !== "") fields[name] = Number(at(name).value);
    if (at("stop_text").value) fields.stop = at("stop_text").value;
    const seed = at("seed").value.trim(), json = JSON.stringify(fields);
    return /^-?[0-9]+$/.test(seed) ? json.slice(0, -1) + ',"seed":' + seed + "}" : json;
}

const percent = (logprob) => {
    const p = 100 * Math.exp(logprob);
    return (p >= 10 ? p.toFixed(0) : p >= 0.1 ? p.toFixed(1) : p.toPrecision(1)) + " %";
};
const shown = (token) => (token === "" ? "(end)" : token.replace(/\n/g, "\u21b5").replace(/ /g, "\u00b7"));

function add(text, className) {
    const span = document.createElement("span");
    span.textContent = text;
    span.className = className;
    at("text").append(span);
    return span;
}

// A token whose bytes are a part of a character shows nothing by itself: the next ones complete it.
function addTokens(text, lists) {
    const offset = at("text").dataset.characters | 0, characters = Array.from(text);
    lists.tokens.forEach((token, i) => {
        const begin = lists.text_offset[i] - offset;
        const end = i + 1 < lists.tokens.length ? lists.text_offset[i + 1] - offset : characters.length;
        const span = add(characters.slice(Math.max(begin, 0), Math.max(end, 0)).join(""), "token");
        span.style.setProperty("--surprise", Math.min(1, -lists.token_logprobs[i] / 8));
        span.tabIndex = 0;
        span.facts = { token, logprob: lists.token_logprobs[i], top: lists.top_logprobs[i] };
    });
    at("text").dataset.characters = offset + characters.length;
}

function take(event) {
    if (event.error) throw new Error(event.error.message);
    for (const choice of event.choices) {
        if (choice.logprobs) addTokens(choice.text, choice.logprobs);
        else add(choice.text, "");
        if (choice.finish_reason) say(choice.finish_reason === "stop" ? "ended by itself" : "as many tokens as asked for, or the context is full");
    }
}

async function read(answer) {
    const reader = answer.body.getReader(), decoder = new TextDecoder();
    let held = "";
    for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        held += decoder.decode(value, { stream: true });
        const events = held.split("\n\n");
        held = events.pop();
        for (const event of events)
            if (event !== "data: [DONE]") take(JSON.parse(event.slice("data: ".length)));
    }
}

async function write(submitted) {
    submitted.preventDefault();
    if (running) return;
    running = new AbortController();
    at("go").disabled = true;
    at("stop").disabled = false;
    at("text").textContent = "";
    at("text").dataset.characters = 0;
    add(at("prompt").value, "given");
    say("reads the text ...");
    try {
        const answer = await fetch("/v1/completions", { method: "POST", headers: headers(), body: body(), signal: running.signal });
        if (!answer.ok) throw new Error((await answer.json()).error.message);
        say("writes ...");
        await read(answer);
    } catch (error) {
        if (error.name === "AbortError") say("stopped");
        else say(error.message, true);
    }
    running = null;
    at("go").disabled = false;
    at("stop").disabled = true;
}

function tip(span) {
    const box = at("tip"), facts = span && span.facts;
    box.hidden = !facts;
    if (!facts) return;
    const table = document.createElement("table");
    for (const [token, logprob] of Object.entries(facts.top).sort((a, b) => b[1] - a[1])) {
        const row = table.insertRow();
        row.className = token === facts.token ? "own" : "";
        row.insertCell().textContent = shown(token);
        row.insertCell().textContent = percent(logprob);
    }
    box.replaceChildren(table);
    const place = span.getBoundingClientRect();
    box.style.top = place.bottom + window.scrollY + 4 + "px";
    box.style.left = Math.max(4, Math.min(place.left, document.documentElement.clientWidth - box.offsetWidth - 4)) + window.scrollX + "px";
}

async function about() {
    const answer = await fetch("/v1/models", { headers: headers() });
    if (answer.status === 401) say("this server needs an API key: Settings", true);
    if (answer.status === 503) setTimeout(about, 1000);
    if (answer.ok) at("model").textContent = (await answer.json()).data.map((m) => m.id + ", " + m.max_model_len + " tokens of context").join();
    document.documentElement.dataset.ready = "true";
}

at("form").addEventListener("submit", write);
at("stop").addEventListener("click", () => running && running.abort());
at("key").addEventListener("change", about);
for (const kind of ["mouseover", "focusin", "click"]) at("text").addEventListener(kind, (event) => tip(event.target));
at("text").addEventListener("mouseleave", () => tip(null));
about();
