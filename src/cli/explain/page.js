// The page of `vkgpt explain`: draws what the JSON in #data holds. Text of tokens comes from anywhere, so it goes into
// the page as text only, never as HTML.
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const f = data.facts, T = data.ids.length, L = f.layers, H = f.heads;
const $ = id => document.getElementById(id);
const state = {token: T - 1, layer: L - 1, head: 0, row: T - 1, column: 0};

// ---------------------------------------------------------------------------------------------- helpers

function make(tag, properties, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function svg(tag, attributes, text) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

const count = n => n.toLocaleString('en');
const percent = p => p < 0.001 ? '< 0.1\u00a0%' : (100 * p).toFixed(p >= 0.0995 ? 0 : 1) + '\u00a0%';
const raw = id => data.texts[id] ?? '#' + id;
const signs = {' ': '·', '\n': '↵', '\r': '␍', '\t': '⇥', '\x7f': '␡', '\xa0': '⍽'};

// A token with its blanks and control characters made visible.
function shown(id) {
  const text = data.texts[id];
  if (text === undefined) return '#' + id;
  if (text === '') return '(no text)';
  return text.replace(/[\u0000-\u001f\u007f\u00a0]|^ +| +$/g, s => [...s].map(
    c => signs[c] || String.fromCharCode(0x2400 + c.charCodeAt(0))).join(''));
}

const code = id => make('code', {}, shown(id));
const layerName = l => l ? 'layer ' + l : 'the embedding';
const heat = (node, share) => node.style.setProperty('--heat', (100 * share).toFixed(1) + '%');
const color = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// One of several options is in the order of Tab; arrow keys move between them.
function options(nodes, columns, choose) {
  nodes.forEach((node, at) => {
    node.addEventListener('click', () => choose(at));
    node.addEventListener('keydown', event => {
      const steps = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns(), Home: -at,
        End: nodes.length - 1 - at};
      const to = at + steps[event.key];
      if (!(event.key in steps)) return;
      event.preventDefault();
      if (nodes[to]) { choose(to); nodes[to].focus(); }
    });
  });
}

function mark(nodes, chosen) {
  nodes.forEach((node, at) => {
    node.setAttribute('aria-selected', at === chosen);
    node.tabIndex = at === chosen ? 0 : -1;
  });
}

// Arrow keys move a cell in a grid; `place` is {row, column}.
function cells(node, rows, columns, place, show) {
  node.addEventListener('keydown', event => {
    const moves = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]}[event.key];
    if (!moves) return;
    event.preventDefault();
    const {row, column} = place();
    show(Math.min(rows - 1, Math.max(0, row + moves[0])), Math.min(columns - 1, Math.max(0, column + moves[1])));
  });
}

// ------------------------------------------------------------------------------------------- the tokens

const tokens = data.ids.map((id, t) => {
  const bits = data.bits[t];
  const node = make('button', {className: 'token', role: 'option', type: 'button'}, shown(id),
    make('small', {}, String(id)));
  heat(node, bits === null ? 0 : 0.65 * Math.min(1, bits / 12));
  node.setAttribute('aria-label', `${shown(id)}, id ${id}` + (bits === null ? '' : `, ${bits.toFixed(1)} bits`));
  return node;
});

function perLine() { // tokens in a line, about
  const top = tokens[state.token].offsetTop;
  return Math.max(1, tokens.filter(node => node.offsetTop === top).length);
}

function showToken() {
  const t = state.token, bits = data.bits[t];
  mark(tokens, t);
  $('token').replaceChildren(`Token ${t + 1} of ${T}: `, code(data.ids[t]), `, id ${data.ids[t]}; `,
    bits === null ? 'nothing is before it, so it has no surprise.' :
      `surprise ${bits.toFixed(2)} bits, probability ${percent(2 ** -bits)}.`);
}

function chooseToken(t) {
  state.token = state.row = t;
  state.column = Math.min(state.column, t);
  showToken();
  showNext();
  showNorms(L);
  showGuess(state.guess ?? L, t);
  showColumn(t);
  drawMap();
}

// --------------------------------------------------------------------------------------- the next token

function showNext() {
  const t = state.token, list = data.next[t], came = t + 1 < T ? data.ids[t + 1] : null, rows = [];
  for (let i = 0; i < list.length; i += 2) {
    const bar = make('i', {});
    bar.style.width = `calc((100% - 4rem) * ${list[i + 1] / Math.max(list[1], 1e-9)})`;
    rows.push(make('tr', {className: list[i] === came ? 'came' : ''}, make('td', {}, shown(list[i])),
      make('td', {}, String(list[i])),
      make('td', {}, make('div', {className: 'bar'}, bar, percent(list[i + 1])))));
  }
  $('next').tBodies[0].replaceChildren(...rows);
  const lead = ['The ten likeliest tokens after ', code(data.ids[t]), '. '];
  if (came === null) lead.push('The text ends here, so this is what the model would write.');
  else lead.push('The text goes on with ', code(came), `, of probability ${percent(data.given[L][t])}.`);
  $('next-lead').replaceChildren(...lead);
}

// ------------------------------------------------------------------------------------ the residual stream

const chart = {height: 236, left: 44, top: 10, bottom: 190, lines: []};

function drawNorms() {
  chart.width = Math.max(240, $('norms').clientWidth);
  chart.right = chart.width - 12;
  const all = data.norms.flat(), most = Math.max(...all), least = Math.min(...all);
  const log = most > 20 * least && least > 0;
  const low = log ? Math.log10(least) : 0, high = (log ? Math.log10(most) : most) || 1;
  chart.x = l => chart.left + (chart.right - chart.left) * l / L;
  chart.y = n => chart.bottom - (chart.bottom - chart.top) * ((log ? Math.log10(n) : n) - low) / (high - low || 1);
  const picture = svg('svg', {viewBox: `0 0 ${chart.width} ${chart.height}`, role: 'img',
    'aria-label': 'L2 norm of the residual stream by layer'});
  for (const n of ticks(log ? least : 0, most, log)) {
    picture.append(svg('line', {x1: chart.left, x2: chart.right, y1: chart.y(n), y2: chart.y(n),
      stroke: 'var(--line)'}),
      svg('text', {x: chart.left - 8, y: chart.y(n) + 4, 'text-anchor': 'end'}, count(n)));
  }
  for (let l = 0; l <= L; l += Math.ceil(L / (chart.width > 400 ? 12 : 6)))
    picture.append(svg('text', {x: chart.x(l), y: chart.bottom + 20, 'text-anchor': 'middle'}, l));
  picture.append(svg('text', {x: (chart.left + chart.right) / 2, y: chart.bottom + 40, 'text-anchor': 'middle'},
    'after layer (0: the embedding)'));
  chart.lines = data.ids.map((id, t) => svg('polyline', {fill: 'none', 'stroke-linejoin': 'round',
    points: data.norms.map((row, l) => `${chart.x(l).toFixed(1)},${chart.y(row[t]).toFixed(1)}`).join(' ')}));
  chart.dot = svg('circle', {r: 4, fill: 'var(--accent)'});
  picture.append(...chart.lines, chart.dot);
  chart.picture = picture;
  picture.addEventListener('pointermove', event => {
    const box = picture.getBoundingClientRect(), x = (event.clientX - box.left) / box.width * chart.width;
    showNorms(Math.min(L, Math.max(0, Math.round((x - chart.left) / (chart.right - chart.left) * L))));
  });
  $('norms').replaceChildren(picture);
}

function ticks(least, most, log) {
  const found = [];
  if (log) {
    const steps = most / least > 1000 ? [1] : [1, 2, 5];
    for (let e = Math.floor(Math.log10(least)); e <= Math.log10(most); e++)
      for (const m of steps) if (m * 10 ** e >= least && m * 10 ** e <= most) found.push(+(m * 10 ** e).toPrecision(1));
    return found;
  }
  let step = 10 ** Math.floor(Math.log10(most / 3 || 1));
  if (most / step > 8) step *= most / step > 16 ? 5 : 2;
  for (let n = 0; n <= most; n += step) found.push(+n.toPrecision(6));
  return found;
}

function showNorms(l) {
  chart.lines.forEach((line, t) => {
    const chosen = t === state.token;
    line.setAttribute('stroke', chosen ? 'var(--accent)' : 'var(--soft)');
    line.setAttribute('stroke-opacity', chosen ? 1 : Math.max(0.12, Math.min(0.5, 8 / T)));
    line.setAttribute('stroke-width', chosen ? 2.5 : 1);
  });
  chart.picture.append(chart.lines[state.token], chart.dot);
  chart.dot.setAttribute('cx', chart.x(l));
  chart.dot.setAttribute('cy', chart.y(data.norms[l][state.token]));
  const sorted = [...data.norms[l]].sort((a, b) => a - b);
  $('norm').replaceChildren(code(data.ids[state.token]),
    ` after ${layerName(l)}: ${data.norms[l][state.token].toPrecision(3)}. `,
    `The median of all tokens is ${sorted[T >> 1].toPrecision(3)}.`);
}

// ------------------------------------------------------------------------------------------- logit lens

const guesses = []; // [layer][token]

function drawLens() {
  const lens = $('lens');
  lens.style.gridTemplateColumns = `max-content repeat(${T}, minmax(3.4rem, 6.5rem))`;
  for (let l = L; l >= 0; l--) {
    lens.append(make('div', {className: 'side'}, l ? String(l) : 'emb.'));
    guesses[l] = data.lens[l].map((list, t) => {
      const cell = make('div', {}, shown(list[0]));
      cell.style.background = `color-mix(in srgb, var(--accent) ${(4 + 51 * list[1]).toFixed(0)}%, var(--card))`;
      cell.addEventListener('pointerenter', () => showGuess(l, t));
      cell.addEventListener('click', () => chooseToken(t));
      lens.append(cell);
      return cell;
    });
  }
  lens.append(make('div', {className: 'side read'}, 'reads'));
  data.ids.forEach(id => lens.append(make('div', {className: 'read'}, shown(id))));
  cells(lens, L + 1, T, () => ({row: L - state.guess, column: state.seen}), (row, column) => {
    showGuess(L - row, column);
    guesses[L - row][column].scrollIntoView({block: 'nearest', inline: 'nearest'});
  });
}

// Scrolls the chosen token's column into view, beside the names of the layers.
function showColumn(t) {
  const box = $('lens').parentNode, cell = guesses[L][t], side = $('lens').firstChild.offsetWidth;
  const left = cell.offsetLeft - $('lens').offsetLeft;
  if (left - side < box.scrollLeft || left + cell.offsetWidth > box.scrollLeft + box.clientWidth - 48)
    box.scrollLeft = left - side - (box.clientWidth - side - cell.offsetWidth) / 2;
}

function showGuess(l, t) {
  if (state.seen !== undefined) guesses[state.guess][state.seen].classList.remove('here');
  if (state.marked !== state.token) {
    for (const row of guesses) {
      row[state.marked ?? 0].classList.remove('chosen');
      row[state.token].classList.add('chosen');
    }
    state.marked = state.token;
  }
  state.guess = l;
  state.seen = t;
  guesses[l][t].classList.add('here');
  const parts = [`After ${layerName(l)}, at `, code(data.ids[t]), ': '], list = data.lens[l][t];
  for (let i = 0; i < list.length; i += 2) parts.push(i ? ', ' : '', code(list[i]), ' ' + percent(list[i + 1]));
  if (t + 1 < T) parts.push('. The text goes on with ', code(data.ids[t + 1]), `: ${percent(data.given[l][t])}.`);
  $('guess').replaceChildren(...parts);
}

// -------------------------------------------------------------------------------------------- attention

const weights = (() => { // 16 bits each, low byte first: [layer][head], and the lower triangle row by row
  const bytes = Uint8Array.from(atob(data.attention), c => c.charCodeAt(0)), view = new DataView(bytes.buffer);
  const each = T * (T + 1) / 2;
  return (l, h, row, column) => view.getUint16(2 * ((l * H + h) * each + row * (row + 1) / 2 + column), true) / 65535;
})();
const shade = w => w ** 0.6;

let heads = [];

function rgb(name) {
  const context = make('canvas', {width: 1, height: 1}).getContext('2d');
  context.fillStyle = color(name);
  context.fillRect(0, 0, 1, 1);
  return context.getImageData(0, 0, 1, 1).data;
}

// The map of a head, a pixel for each pair of tokens.
function picture(l, h) {
  const canvas = make('canvas', {width: T, height: T}), context = canvas.getContext('2d');
  const image = context.createImageData(T, T);
  const [red, green, blue] = rgb('--accent');
  for (let row = 0; row < T; row++)
    for (let column = 0; column <= row; column++)
      image.data.set([red, green, blue, Math.round(255 * shade(weights(l, h, row, column)))], 4 * (row * T + column));
  context.putImageData(image, 0, 0);
  return canvas;
}

function drawHeads() {
  const box = $('heads'), size = Math.max(18, Math.min(46, Math.floor(420 / H)));
  box.style.setProperty('--size', size + 'px');
  box.style.gridTemplateColumns = `auto repeat(${H}, ${size}px)`;
  box.replaceChildren();
  heads = [];
  for (let l = L - 1; l >= 0; l--) {
    box.append(make('span', {className: 'side', 'aria-hidden': 'true'}, String(l + 1)));
    for (let h = 0; h < H; h++) {
      const node = make('button', {className: 'head', type: 'button', role: 'option'}, picture(l, h));
      node.setAttribute('aria-label', `layer ${l + 1}, head ${h + 1}`);
      heads.push(node);
      box.append(node);
    }
  }
  options(heads, () => H, chooseHead);
  mark(heads, (L - 1 - state.layer) * H + state.head);
}

function chooseHead(at) {
  state.layer = L - 1 - Math.floor(at / H);
  state.head = at % H;
  mark(heads, at);
  drawMap();
}

function drawMap() {
  const map = $('map'), side = Math.max(T, Math.round(map.clientWidth * (devicePixelRatio || 1)));
  map.width = map.height = side;
  const context = map.getContext('2d'), cell = side / T, edge = Math.max(1, Math.min(3, cell / 5));
  context.fillStyle = color('--ink');
  context.globalAlpha = 0.035;
  context.fillRect(0, 0, side, side);
  context.globalAlpha = 1;
  context.imageSmoothingEnabled = false;
  context.drawImage(picture(state.layer, state.head), 0, 0, side, side);
  context.strokeStyle = color('--surprise');
  context.lineWidth = edge;
  context.globalAlpha = 0.4;
  context.strokeRect(0, state.row * cell, side, cell);
  context.strokeRect(state.column * cell, 0, cell, side);
  context.globalAlpha = 1;
  context.strokeRect(state.column * cell, state.row * cell, cell, cell);
  showCell();
}

function showCell() {
  const {layer, head, row, column} = state;
  const parts = [`Layer ${layer + 1}, head ${head + 1}: `, code(data.ids[row]), ` (${row + 1}) `];
  if (column > row) parts.push('does not see ', code(data.ids[column]), ` (${column + 1}), which comes later.`);
  else parts.push('reads ', code(data.ids[column]),
    ` (${column + 1}) with weight ${weights(layer, head, row, column).toFixed(4)}.`);
  $('cell').replaceChildren(...parts);
  $('flow').replaceChildren(...data.ids.map((id, t) => {
    const node = make('span', {className: (t > row ? 'later' : '') + (t === column ? ' reads' : '')}, raw(id));
    heat(node, t > row ? 0 : 0.75 * shade(weights(layer, head, row, t)));
    return node;
  }));
}

function moveCell(row, column) {
  if (row === state.row && column === state.column) return;
  state.row = row;
  state.column = column;
  drawMap();
}

function pointMap(event) {
  const box = $('map').getBoundingClientRect(), at = v => Math.min(T - 1, Math.max(0, Math.floor(v * T)));
  moveCell(at((event.clientY - box.top) / box.height), at((event.clientX - box.left) / box.width));
}

// ---------------------------------------------------------------------------------------- the model

const activations = {gelu_tanh: 'GELU (tanh)', gelu_erf: 'GELU (erf)', relu: 'ReLU', silu: 'SiLU',
  quick_gelu: 'quick GELU'};
const classes = {'openai-gpt': 'GPT-1', gpt2: 'GPT-2', gpt_neo: 'GPT-Neo, like GPT-3', opt: 'OPT'};
const locals = f.local.filter(Boolean).length;

// The block from bottom to top, as the papers draw it: the stream on the left, what each sublayer adds on the right.
function drawBlock() {
  const S = 110, B = 345, parts = []; // the middles of the stream and of the sublayers
  let y = 0;
  const line = d => parts.unshift(svg('path', {d}));
  const box = (x, top, width, height, kind, title, note) => {
    parts.push(svg('rect', {x: x - width / 2, y: top, width, height, rx: 6, class: kind}),
      svg('text', {x, y: top + (note ? height / 2 - 3 : height / 2 + 4), 'text-anchor': 'middle'}, title));
    if (note) parts.push(svg('text', {x, y: top + height / 2 + 13, 'text-anchor': 'middle', class: 'note'}, note));
  };
  const onStream = (kind, title, note) => {
    const h = note ? 42 : 26;
    y -= h;
    box(S, y, 190, h, kind, title, note);
    y -= 18;
  };
  const plus = () => parts.push(svg('circle', {cx: S, cy: y, r: 9}),
    svg('path', {d: `M${S - 5} ${y}h10M${S} ${y - 5}v10`}));
  const sublayer = (title, note) => {
    const from = y;
    y -= 14;
    if (!f.post_norm) { y -= 26; box(B, y, 190, 26, 'norm', 'norm'); y -= 12; }
    y -= 46;
    box(B, y, 190, 46, 'work', title, note);
    y -= 22;
    line(`M${S} ${from}H${B}V${y}H${S}`);
    plus();
    y -= f.post_norm ? 24 : 26;
    if (f.post_norm) onStream('norm', 'norm');
  };
  box(S, y - 42, 190, 42, '', 'token table', `${count(f.vocab)} × ${count(f.embed_dim)}`);
  y -= 42 + 18;
  if (f.embed_dim !== f.dim) onStream('work', 'project in', `${count(f.embed_dim)} to ${count(f.dim)}`);
  y -= 8;
  box(B, y - 21, 190, 42, '', 'position table',
    `${count(f.context)} × ${count(f.dim)}` + (f.position_offset ? `, from row ${f.position_offset}` : ''));
  line(`M${B} ${y}H${S}`);
  plus();
  y -= 34;
  const bottom = y + 6;
  y -= 12;
  const kind = !f.window || !locals ? '' : locals === L ? `, the last ${count(f.window)} tokens` : ', some local';
  sublayer('attention', `${f.heads} ${f.heads === 1 ? 'head' : 'heads'} of ${f.head_dim}` + kind);
  sublayer(`feed forward, ${activations[f.activation]}`, `${count(f.dim)} to ${count(f.inner)} to ${count(f.dim)}`);
  const top = y + 4;
  parts.push(svg('rect', {x: 2, y: top, width: 446, height: bottom - top, rx: 10, class: 'frame'}),
    svg('text', {x: 438, y: top + 18, 'text-anchor': 'end'}, `${L} ${L === 1 ? 'layer' : 'layers'}`));
  y -= 18;
  if (f.final_norm) onStream('norm', 'final norm');
  if (f.embed_dim !== f.dim) onStream('work', 'project out', `${count(f.dim)} to ${count(f.embed_dim)}`);
  y -= 42;
  box(S, y, 190, 42, '', 'head', f.tied ? 'the token table again' : `a matrix of its own, × ${count(f.vocab)}`);
  line(`M${S} 0V${y}`);
  let below = 0;
  if (f.window && locals) below = drawLayers(parts, 24);
  const drawn = svg('svg', {viewBox: `0 ${y - 4} 450 ${below + 8 - y}`, role: 'img'});
  drawn.setAttribute('aria-label', 'The block of the model: ' +
    (f.post_norm ? 'norms after each sublayer' : 'norms before each sublayer'));
  drawn.append(...parts);
  $('block').append(drawn);
}

// A square for each layer: local ones see a window only. Returns the height.
function drawLayers(parts, top) {
  const step = Math.min(22, 440 / L);
  f.local.forEach((local, l) => parts.push(svg('rect', {x: 5 + l * step, y: top, width: step - 4, height: 16, rx: 3,
    class: local ? 'norm' : 'work'})));
  parts.push(svg('text', {x: 5, y: top + 34, class: 'note'},
    `layers 1 to ${L}: blue ones see all tokens, orange ones the last ${count(f.window)}`));
  return top + 40;
}

function showFacts() {
  const rows = [
    ['class', `${f.class} (${classes[f.class] || f.class})`], ['parameters', count(f.params)],
    ['layers', L], ['heads', `${H} in each layer, of ${f.head_dim}`], ['width', count(f.dim)],
    ['inner width', `${count(f.inner)}, ${activations[f.activation]}`], ['context', `${count(f.context)} tokens`],
    ['vocabulary', `${count(f.vocab)} tokens`],
    ['norms', f.post_norm ? 'after each sublayer, as in GPT-1' :
      'before each sublayer' + (f.final_norm ? ', and a final one' : '')],
    ['attention', (f.scaled ? 'scores divided by the root of the head’s width' : 'scores are not scaled') +
      (f.by_layer ? ', and by the layer’s number' : '')],
    ['biases', f.bias ? (f.qkv_bias ? 'in all matrices of a layer' : 'not for queries, keys and values') : 'none'],
    ['head', f.tied ? 'the token table' : 'a matrix of its own'],
    ['weights', f.weights + ' on the device, cache in f32'], ['device', f.device],
  ];
  $('facts').append(...rows.flatMap(([name, value]) => [make('dt', {}, name), make('dd', {}, String(value))]));
}

// ------------------------------------------------------------------------------------------------- all

function start() {
  document.title = `${data.model}: what a GPT does with a text`;
  $('name').textContent = data.model;
  $('lead').textContent = `${classes[f.class] || f.class}, ${count(L)} layers of ${H} heads, ` +
    `${(f.params / 1e6).toFixed(2)} million parameters, and ${T} tokens.`;
  const bits = data.bits.filter(b => b !== null), mean = bits.reduce((a, b) => a + b, 0) / bits.length;
  $('footer').textContent = `Made by vkgpt ${data.version}. ` +
    (bits.length ? `The mean surprise is ${mean.toFixed(2)} bits a token: ` +
      `a perplexity of ${(2 ** mean).toFixed(2)}. ` : '') +
    'All data is in this page; nothing is loaded from anywhere.';
  $('tokens').append(...tokens);
  options(tokens, perLine, chooseToken);
  drawNorms();
  drawLens();
  drawHeads();
  drawBlock();
  showFacts();
  cells($('map'), T, T, () => state, moveCell);
  $('map').addEventListener('pointermove', pointMap);
  $('map').addEventListener('pointerdown', pointMap);
  const read = p => weights(L - 1, 0, T - 1, p);
  for (let p = 0; p < T; p++) if (read(p) > read(state.column)) state.column = p;
  chooseToken(T - 1);
  new ResizeObserver(drawMap).observe($('map'));
  new ResizeObserver(() => { drawNorms(); showNorms(L); }).observe($('norms'));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { drawHeads(); drawMap(); });
  document.documentElement.dataset.ready = 'true';
}

start();
