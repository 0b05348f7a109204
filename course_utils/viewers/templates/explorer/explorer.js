/* The latent explorer: one front end for a page without a kernel and for a notebook with one.
 *
 * `mount` draws it into an element. What it shows comes as `meta`, plain values, and `bytes`, deflated arrays
 * that `meta.arrays` lists. Images are decoded and encoded by a backend of two functions: in a page `local`,
 * from the weights among the arrays, in a notebook the kernel. standalone.js stands before it.
 */

const SIDE = 28;
const PIXELS = SIDE * SIDE;
const NEIGHBOURS = 10; // test images asked for the nearest class
const FRAMES = 10; // of a walk from A to B
const REACH = 12; // px from a point at which a click means it
const GREYS = 15; // steps of grey in which the test images come
// Half the pen's width, in pixels. Strokes of MNIST, ink over length of skeleton in 2,000 training images, are 2.4 wide
// in the median, four fifths of them from 1.7 to 3.7. Digits drawn with this pen measure 2.2 to 2.9 in the same way.
const PEN = 1.25;
let explorers = 0; // so that ids differ where a notebook shows several

// --- arrays and networks -----------------------------------------------------------------------------

/** A linear layer: int8 weights, row by row, times the row's scale. */
function linear(arrays, name) {
  const [quantised, scale, bias] = ["weight", "scale", "bias"].map((part) => arrays[`${name}.${part}`]);
  const outputs = bias.length;
  const inputs = quantised.length / outputs;
  const weight = Float32Array.from(quantised, (value, i) => value * scale[Math.floor(i / inputs)]);
  return (x) => {
    const y = new Float32Array(outputs);
    for (let row = 0, i = 0; row < outputs; row++) {
      let sum = bias[row];
      for (let column = 0; column < inputs; column++, i++) sum += weight[i] * x[column];
      y[row] = sum;
    }
    return y;
  };
}

const relu = (values) => values.map((value) => Math.max(0, value));
const sigmoid = (values) => values.map((value) => 1 / (1 + Math.exp(-value)));

/** Encoder and decoder in this page. */
function local(meta, arrays) {
  const layers = (names) => names.map((name) => linear(arrays, name));
  const [encoder, heads, decoder] = [meta.encoder, meta.heads, meta.decoder].map(layers);
  const last = decoder.pop();
  return {
    async decode(codes) {
      const images = codes.map((z) => sigmoid(last(decoder.reduce((x, layer) => relu(layer(x)), z))));
      const all = new Float32Array(images.length * PIXELS);
      images.forEach((image, i) => all.set(image, i * PIXELS));
      return all;
    },
    async encode(x) {
      const hidden = encoder.reduce((values, layer) => relu(layer(values)), x);
      return heads.map((head) => head(hidden));
    },
  };
}

/** Encoder and decoder in the kernel of a notebook, asked through the widget's messages. */
function remote(widget) {
  const waiting = new Map();
  const view = Math.random().toString(36).slice(2); // another view of the widget hears the same answers
  let last = 0;
  widget.on("msg:custom", (message, buffers) => {
    const bytes = buffers[0];
    waiting.get(message.id)?.(
      new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)));
    waiting.delete(message.id);
  });
  const ask = (task, rows) => new Promise((resolve) => {
    const id = `${view}-${++last}`;
    waiting.set(id, resolve);
    widget.send({ id, task, rows });
  });
  return {
    decode: (codes) => ask("decode", codes.map((z) => Array.from(z))),
    async encode(x) {
      const both = await ask("encode", [Array.from(x)]);
      return [both.slice(0, both.length / 2), both.slice(both.length / 2)];
    },
  };
}

// --- small mathematics -------------------------------------------------------------------------------

const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
const norm = (a) => Math.sqrt(dot(a, a));
const mix = (a, b, s, t) => Array.from(a, (value, i) => s * value + t * b[i]);
const line = (a, b, t) => mix(a, b, 1 - t, t);

/** The arc from a to b; the line where they point the same or opposite ways. */
function arc(a, b, t) {
  const angle = Math.acos(clamp(dot(a, b) / (norm(a) * norm(b) || 1), -1, 1));
  if (Math.sin(angle) < 1e-4) return line(a, b, t);
  return mix(a, b, Math.sin((1 - t) * angle) / Math.sin(angle), Math.sin(t * angle) / Math.sin(angle));
}

/** A standard normal number. */
const gaussian = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());

/** -log p(x|z) of pixels x under the decoder's probabilities, nats. */
const reconstruction = (x, image) => x.reduce((sum, value, i) => {
  const p = clamp(image[i], 1e-7, 1 - 1e-7);
  return sum - value * Math.log(p) - (1 - value) * Math.log(1 - p);
}, 0);

/** KL(N(mean, variance) || N(0, 1)), nats. */
const divergence = (mean, variance) => (mean ** 2 + variance - 1 - Math.log(variance)) / 2;

/** Draw a pen stroke from a to b into ink: full inside the pen, fading over the pixel at its rim. */
function stroke(ink, [ax, ay], [bx, by]) {
  const [dx, dy] = [bx - ax, by - ay];
  for (let i = 0; i < PIXELS; i++) {
    const [px, py] = [(i % SIDE) + 0.5 - ax, Math.floor(i / SIDE) + 0.5 - ay];
    const t = clamp((px * dx + py * dy) / (dx * dx + dy * dy || 1), 0, 1);
    ink[i] = Math.max(ink[i], clamp(PEN + 0.5 - Math.hypot(px - t * dx, py - t * dy), 0, 1));
  }
}

/** Lines as MNIST has digits: scaled into 20 x 20 pixels, the centre of mass in the middle. The pen is not scaled. */
function asMnist(lines) {
  const points = lines.flat();
  const [low, high] = [Math.min, Math.max].map((most) => [0, 1].map((k) => most(...points.map((point) => point[k]))));
  const scale = (20 - 2 * PEN) / Math.max(high[0] - low[0], high[1] - low[1], 1);
  const inked = (centre) => {
    const ink = new Float32Array(PIXELS);
    const put = (point) => mix(point, centre, scale, -scale).map((value) => value + SIDE / 2);
    for (const ends of lines) stroke(ink, ...ends.map(put));
    return ink;
  };
  const middle = mix(low, high, 0.5, 0.5);
  const ink = inked(middle);
  const mass = ink.reduce((sum, value) => sum + value, 0);
  const off = [(i) => i % SIDE, (i) => Math.floor(i / SIDE)].map((place) =>
    ink.reduce((sum, value, i) => sum + value * (place(i) + 0.5 - SIDE / 2), 0) / mass);
  return inked(mix(middle, off, 1, 1 / scale));
}

// --- pictures ----------------------------------------------------------------------------------------

/** White on black, as the data are. */
function paint(canvas, values, offset = 0) {
  const picture = new ImageData(SIDE, SIDE);
  for (let i = 0; i < PIXELS; i++) {
    const grey = Math.round(255 * values[offset + i]);
    picture.data.set([grey, grey, grey, 255], 4 * i);
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

const blank = (canvas) => canvas.getContext("2d").clearRect(0, 0, SIDE, SIDE);
const square = (name, label) =>
  `<canvas class="digit ${name}" width="${SIDE}" height="${SIDE}" role="img" aria-label="${label}"></canvas>`;

function skeleton(id, meta) {
  const part = (name, title, body) =>
    `<section class="${name}" aria-labelledby="${id}-${name}"><h2 id="${id}-${name}">${title}</h2>${body}</section>`;
  const sliders = meta.order.map((dimension) => `
    <label class="slider"><span>z<sub>${dimension + meta.first}</sub></span>
      <input type="range" data-dimension="${dimension}" min="${-meta.reach}" max="${meta.reach}" step="0.05" value="0"
        aria-label="z${dimension + meta.first}, ${number(meta.kl[dimension])} nats of KL">
      <output>0.00</output><small>${number(meta.kl[dimension])}</small></label>`);
  const walk = (name, title) =>
    `<div class="walk ${name}"><h3>${title}</h3><div class="strip"></div></div>`;
  return `<div class="layout${meta.latent > 2 ? "" : " flat"}">${[
    part("image", "Decoded image", `
      <div class="result"><figure>${square("decoded", "Image decoded from the code")}<figcaption>decoded from z</figcaption></figure>
      <figure>${square("original", "Image that goes through the model")}<figcaption class="which"></figcaption></figure></div>
      <p class="where" aria-live="polite"></p>`),
    part("map", "Latent map", `
      <div class="frame"><canvas class="points" aria-hidden="true"></canvas>
      <canvas class="cursor" tabindex="0" role="application" aria-roledescription="map"
        aria-label="Latent map: ${meta.axisNames.join(" to the right, ")} upwards" aria-describedby="${id}-keys"></canvas></div>
      <div class="bar"><button class="reset" type="button">Back to the middle</button>
      <label class="check plane-check"><input type="checkbox" class="plane"> decoded plane</label></div>
      <p class="hint">${meta.mapNote}</p>
      <p class="hint" id="${id}-keys">Move over the map; click a point to stay at its image, click again to let go.
        Keys: arrows move (with Shift further), Enter takes the nearest test image, A and B mark the ends of a walk,
        Home is the middle, Esc lets go.</p>`),
    part("sliders", "Dimensions", `
      <p class="hint">${meta.sliderNote}</p><div class="list">${sliders.join("")}</div>`),
    part("draw", "Draw a digit", `
      <canvas class="digit ink" width="${SIDE}" height="${SIDE}" tabindex="0" role="application"
        aria-roledescription="drawing area" aria-label="Drawing area" aria-describedby="${id}-pen"></canvas>
      <div class="bar"><button class="clear" type="button">Clear</button>
      <label class="check"><input type="checkbox" class="mnist" checked> scale and centre as MNIST does</label></div>
      <p class="landed" aria-live="polite"></p>
      <p class="hint" id="${id}-pen">Keys: arrows move the pen, Space lowers and lifts it, Delete clears.</p>`),
    part("pass", "One forward pass", `
      <p class="hint">The encoder makes \u03bc and \u03c3 of the image x. With noise \u03b5, z = \u03bc + \u03c3\u03b5. The decoder makes an image of z.
        Move over the map: the \u03b5 shown is the one that leads there. The ellipse on the map is one \u03c3 of q(z|x).</p>
      <div class="bar"><button class="again" type="button" disabled>Draw \u03b5 again</button></div>
      <table><thead><tr>${["", "\u03bc", "\u03c3", "\u03b5", "z", "KL"].map((name) =>
        (name ? `<th scope="col">${name}</th>` : "<td></td>")).join("")}</tr></thead><tbody>${meta.order.map((dimension) =>
        `<tr><th scope="row">z<sub>${dimension + meta.first}</sub></th>${"<td></td>".repeat(5)}</tr>`).join("")}</tbody></table>
      <p class="terms"></p>`),
    part("walks", "From A to B", `
      <div class="bar"><button class="set-a" type="button">A is here</button>
      <button class="set-b" type="button">B is here</button><button class="play" type="button">Play</button></div>
      <p class="ends" aria-live="polite"></p>
      ${walk("straight", meta.latent > 2 ? "Straight line" : "Decoded on the way")}${meta.latent > 2 ? walk("round", "Spherical") : ""}`),
  ].join("")}</div>`;
}

// --- the explorer ------------------------------------------------------------------------------------

async function mount(root, meta, bytes, kernel) {
  const arrays = await unpack(bytes, meta.arrays);
  const backend = kernel || local(meta, arrays);
  const { labels, images } = arrays;
  const count = labels.length;
  const means = Array.from({ length: count }, (_, i) =>
    Array.from(arrays.means.subarray(i * meta.latent, (i + 1) * meta.latent), (value) => value / 1000));
  const project = (z) => meta.axes.map((axis) => dot(axis, z) - dot(axis, meta.centre));
  const places = means.map(project);
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  root.classList.add("vae-scene", "vae-explorer");
  root.innerHTML = skeleton(`explorer-${++explorers}`, meta);
  const find = (selector) => root.querySelector(selector);
  const [points, cursor, frame] = [".points", ".cursor", ".frame"].map(find);
  if (meta.latent > 2) find(".plane-check").remove();

  let z = new Array(meta.latent).fill(0);
  let held = false; // whether the pointer's moves are ignored
  let chosen = null; // index of the test image whose mean z is
  let near = null; // index of the point under the pointer
  let given = null; // what goes through the model: pixels, name, mean, variances, of a test image its index
  let plane = null; // the decoded plane as a picture
  let size = 0; // of the map, in CSS pixels
  let journey = 0; // number of the last animation; a newer one, or the reader, ends it
  const ends = {}; // A and B
  const picked = () => ends.a && ends.b;

  // --- where things are: the map shows -half..half in both directions

  const toScreen = ([x, y]) => [size / 2 + (x / meta.half) * size / 2, size / 2 - (y / meta.half) * size / 2];
  const fromEvent = (event) => {
    const box = cursor.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, 1 - (event.clientY - box.top) / box.height]
      .map((share) => clamp((2 * share - 1) * meta.half, -meta.half, meta.half));
  };
  const nearestPoint = (place) => {
    let [best, least] = [null, (REACH / size * 2 * meta.half) ** 2];
    places.forEach(([x, y], i) => {
      const distance = (x - place[0]) ** 2 + (y - place[1]) ** 2;
      if (distance < least) [best, least] = [i, distance];
    });
    return best;
  };
  /** The code on the map's place that keeps what the map does not show. */
  const codeAt = (place) => {
    const [here, moved] = [project(z), [...z]];
    meta.axes.forEach((axis, k) => axis.forEach((value, i) => { moved[i] += value * (place[k] - here[k]); }));
    return moved;
  };
  const neighbours = (code) => means
    .map((mean, i) => [mean.reduce((sum, value, k) => sum + (value - code[k]) ** 2, 0), i])
    .sort((a, b) => a[0] - b[0]).slice(0, NEIGHBOURS).map(([, i]) => i);
  const nearestClass = (code) => {
    const votes = new Map();
    for (const i of neighbours(code)) votes.set(labels[i], (votes.get(labels[i]) || 0) + 1);
    const [label, most] = [...votes].reduce((a, b) => (b[1] > a[1] ? b : a));
    return `nearest class: ${meta.classes[label]} (${most} of ${Math.min(NEIGHBOURS, count)} neighbours)`;
  };
  const describe = (code) => {
    const [x, y] = project(code).map((value) => number(value, 2));
    return meta.latent > 2 ? `map (${x}, ${y}), |z| = ${number(norm(code), 2)}` : `z = (${x}, ${y})`;
  };

  // --- drawing the map

  const theme = () => getComputedStyle(root);
  function drawPoints() {
    const pen = penOf(points, size);
    const style = theme();
    const colour = (name) => style.getPropertyValue(name).trim();
    const dark = root.dataset.theme === "dark";
    if (plane) {
      pen.globalAlpha = 0.55;
      pen.drawImage(plane(colour("--ink")), 0, 0, size, size);
      pen.globalAlpha = 1;
    }
    drawGround(pen, size, toScreen(project(new Array(meta.latent).fill(0))), size / 2 / meta.half, colour);
    pen.globalAlpha = plane ? 0.35 : dark ? 0.75 : 0.6;
    const radius = clamp(90 / Math.sqrt(count), 1.6, 4) * clamp(size / 560, 0.7, 1.2);
    for (let i = 0; i < count; i++) {
      pen.fillStyle = dark ? lighter(meta.colours[labels[i]], 0.35) : meta.colours[labels[i]];
      pen.beginPath();
      pen.arc(...toScreen(places[i]), radius, 0, 2 * Math.PI);
      pen.fill();
    }
    pen.globalAlpha = 1;
    meta.names.forEach(([label, place]) => pill(
      pen, size, meta.classes[label], toScreen(place), meta.colours[label], inkOn(meta.colours[label]), colour("--paper")));
    nameAxes(pen, size, meta.axisNames, colour);
  }

  function drawCursor() {
    const pen = penOf(cursor, size);
    const style = theme();
    const [ink, paper, accent] = ["--ink", "--paper", "--link"].map((name) => style.getPropertyValue(name).trim());
    const twice = (width, colour, path) => { // with a rim that keeps it apart from what lies below
      for (const [stroke, extra] of [[paper, 3], [colour, 0]]) {
        pen.strokeStyle = stroke;
        pen.lineWidth = width + extra;
        pen.beginPath();
        path();
        pen.stroke();
      }
    };
    if (picked()) {
      const ways = meta.latent > 2 ? [line, arc] : [line];
      ways.forEach((way, k) => {
        pen.setLineDash(k ? [2, 4] : []);
        twice(1.5, ink, () => {
          for (let i = 0; i <= 40; i++) pen.lineTo(...toScreen(project(way(ends.a, ends.b, i / 40))));
        });
      });
      pen.setLineDash([]);
    }
    for (const end of ["a", "b"]) {
      if (ends[end]) pill(pen, size, end.toUpperCase(), toScreen(project(ends[end])), ink, paper, paper);
    }
    if (given) { // one standard deviation: the covariance seen along the map's axes
      const [xx, xy, yy] = [[0, 0], [0, 1], [1, 1]].map(([i, j]) =>
        given.variance.reduce((sum, value, k) => sum + value * meta.axes[i][k] * meta.axes[j][k], 0));
      const [half, spread] = [(xx + yy) / 2, Math.hypot((xx - yy) / 2, xy)];
      const pixels = size / 2 / meta.half;
      const [long, short] = [half + spread, Math.max(half - spread, 0)].map((value) => Math.sqrt(value) * pixels);
      const middle = toScreen(project(given.mean));
      const tilt = -Math.atan2(2 * xy, xx - yy) / 2; // screen coordinates grow downwards
      twice(2, accent, () => pen.ellipse(...middle, Math.max(long, 1), Math.max(short, 1), tilt, 0, 2 * Math.PI));
      pen.fillStyle = accent;
      pen.beginPath();
      pen.arc(...middle, 3, 0, 2 * Math.PI);
      pen.fill();
    }
    if (near !== null && !held) twice(1.5, ink, () => pen.arc(...toScreen(places[near]), 5, 0, 2 * Math.PI));
    const [x, y] = toScreen(project(z).map((value) => clamp(value, -meta.half, meta.half)));
    twice(2, ink, () => pen.arc(x, y, 9, 0, 2 * Math.PI));
    twice(2, ink, () => {
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        pen.moveTo(x + 9 * dx, y + 9 * dy);
        pen.lineTo(x + 15 * dx, y + 15 * dy);
      }
    });
    if (held) {
      pen.fillStyle = ink;
      pen.beginPath();
      pen.arc(x, y, 3, 0, 2 * Math.PI);
      pen.fill();
    }
  }

  // --- showing the present code

  let stale = false; // whether z changed since the image that is being decoded
  let busy = false;
  async function decodeNewest() {
    if (busy) return;
    busy = true;
    while (stale) { // only the newest code is worth a round trip
      stale = false;
      const code = [...z];
      const begun = performance.now();
      const image = await backend.decode([code]);
      paint(find(".decoded"), image);
      Object.assign(find(".decoded").dataset, { z: JSON.stringify(code), ms: performance.now() - begun });
      showPass(code, image);
    }
    busy = false;
  }

  /** The numbers of the pass that goes by this code: they belong to the image that is shown. */
  function showPass(code, image) {
    root.classList.toggle("given", given !== null);
    find(".again").disabled = !given;
    find(".which").textContent = given ? given.name : "Click a point or draw: its image appears here.";
    if (!given) {
      blank(find(".original"));
      root.querySelectorAll("tbody td").forEach((cell) => { cell.textContent = ""; });
      find(".terms").textContent = "Click a point or draw a digit: that is x.";
      return;
    }
    const { pixels, mean, variance } = given;
    paint(find(".original"), pixels);
    const kl = mean.map((value, i) => divergence(value, variance[i]));
    root.querySelectorAll("tbody tr").forEach((row, i) => {
      const k = meta.order[i];
      const sigma = Math.sqrt(variance[k]);
      [mean[k], sigma, (code[k] - mean[k]) / sigma, code[k], kl[k]].forEach((value, column) => {
        row.cells[column + 1].textContent = number(value, column === 1 ? 3 : 2);
      });
    });
    const [error, all] = [reconstruction(pixels, image), kl.reduce((a, b) => a + b)];
    const where = meta.latent > meta.order.length ? ` over all ${meta.latent} dimensions` : "";
    find(".terms").textContent = `\u2212log p(x|z) = ${number(error, 1)} nats, KL = ${number(all, 1)} nats${where}; `
      + `together ${number(error + all, 1)} nats: \u2212ELBO, estimated at this one z.`;
  }

  /** Let pixels go through the encoder. */
  async function give(pixels, name, index = null) {
    const [mean, logvar] = await backend.encode(pixels);
    given = { pixels, name, index, mean: Array.from(means[index] ?? mean), variance: Array.from(logvar, Math.exp) };
  }

  let spoken = 0;
  function say() { // at most eight times a second: more is neither read nor spoken
    clearTimeout(spoken);
    spoken = setTimeout(() => {
      find(".where").textContent = `${describe(z)}; ${nearestClass(z)}`;
      remember();
    }, 120);
  }

  const giveImage = (i) => give(Float32Array.from(images.subarray(i * PIXELS, (i + 1) * PIXELS), (grey) => grey / GREYS),
    `Test image ${i + 1}; its class: ${meta.classes[labels[i]]}.`, i);

  let drawing = false;
  function show() {
    stale = true;
    decodeNewest();
    root.querySelectorAll(".slider input").forEach((slider) => {
      const value = z[slider.dataset.dimension];
      if (slider !== document.activeElement || Math.abs(slider.value - value) > 0.03) slider.value = value;
      slider.parentElement.querySelector("output").textContent = number(value);
    });
    say();
    redraw();
  }
  function redraw() {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(() => { drawing = false; drawCursor(); });
  }

  /** Go to a code at once; `image` is the test image whose mean it is, if any: then that goes through the model. */
  function go(code, { image = null, hold = held } = {}) {
    z = Array.from(code);
    held = hold;
    if (image !== null && image !== given?.index) giveImage(image).then(show);
    chosen = image;
    root.classList.toggle("held", held);
    show();
  }

  /** Go to a code on a way, a function of t in [0, 1]; step by step where motion is not wanted. */
  function travel(way, milliseconds, finish) {
    const own = ++journey;
    const begun = performance.now();
    const frame = () => {
      if (own !== journey) return;
      const t = Math.min(1, (performance.now() - begun) / milliseconds);
      if (t === 1) finish();
      else {
        go(way(still.matches ? Math.floor(t * (FRAMES - 1)) / (FRAMES - 1) : t), { hold: true });
        requestAnimationFrame(frame);
      }
    };
    requestAnimationFrame(frame);
  }
  function glide(code, options) {
    const start = [...z];
    if (still.matches) { journey++; go(code, options); } else {
      travel((t) => line(start, code, t * t * (3 - 2 * t)), 260, () => go(code, options));
    }
  }
  const takeImage = (i) => glide(means[i], { image: i, hold: true });

  // --- the map's pointer and keys

  let pressed = null; // where the pointer went down, while it is
  let dragged = false;
  cursor.addEventListener("pointerdown", (event) => {
    pressed = [event.clientX, event.clientY];
    dragged = false;
    cursor.setPointerCapture(event.pointerId);
    if (event.pointerType === "touch") { journey++; go(codeAt(fromEvent(event)), { hold: true }); }
  });
  cursor.addEventListener("pointermove", (event) => {
    const place = fromEvent(event);
    near = nearestPoint(place);
    if (pressed && Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]) > 4) dragged = true;
    if (!held || (pressed && dragged)) {
      journey++;
      go(codeAt(place), { hold: dragged || held });
    } else redraw();
  });
  cursor.addEventListener("pointerup", (event) => {
    pressed = null;
    if (dragged) {
      dragged = false;
      return;
    }
    const place = fromEvent(event);
    const hit = nearestPoint(place);
    if (hit !== null && hit !== chosen) takeImage(hit);
    else { journey++; go(codeAt(place), { hold: event.pointerType === "touch" || !held }); }
  });
  cursor.addEventListener("pointercancel", () => { pressed = null; dragged = false; });
  cursor.addEventListener("pointerleave", () => { near = null; redraw(); });

  const middle = () => glide(new Array(meta.latent).fill(0), { hold: true });
  cursor.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? 0.5 : 0.1;
    const [x, y] = project(z);
    const move = (dx, dy) => {
      journey++;
      go(codeAt([x + dx, y + dy].map((value) => clamp(value, -meta.half, meta.half))), { hold: true });
    };
    const keys = {
      ArrowLeft: () => move(-step, 0), ArrowRight: () => move(step, 0),
      ArrowUp: () => move(0, step), ArrowDown: () => move(0, -step),
      Enter: () => takeImage(neighbours(z)[0]), " ": () => takeImage(neighbours(z)[0]),
      a: () => setEnd("a", z), b: () => setEnd("b", z), Home: middle,
      Escape: () => go(z, { image: chosen, hold: false }),
    };
    const act = keys[event.key] || keys[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  });
  find(".reset").addEventListener("click", middle);
  find(".again").addEventListener("click", () =>
    glide(given.mean.map((value, i) => value + Math.sqrt(given.variance[i]) * gaussian()), { hold: true }));
  root.querySelectorAll(".slider input").forEach((slider) => slider.addEventListener("input", () => {
    journey++;
    const code = [...z];
    code[slider.dataset.dimension] = Number(slider.value);
    go(code, { hold: true });
  }));

  // --- the decoded plane behind the points

  find(".plane")?.addEventListener("change", async (event) => {
    plane = event.target.checked ? await decodePlane() : null;
    drawPoints();
    remember();
  });
  async function decodePlane() {
    const n = 20;
    const coordinates = Array.from({ length: n }, (_, i) => meta.half * ((2 * i + 1) / n - 1));
    const rows = [];
    for (const y of [...coordinates].reverse()) rows.push(await backend.decode(coordinates.map((x) => [x, y])));
    return (ink) => {
      const sheet = Object.assign(document.createElement("canvas"), { width: n * SIDE, height: n * SIDE });
      const pen = sheet.getContext("2d");
      const picture = pen.createImageData(sheet.width, sheet.height);
      rows.forEach((row, i) => row.forEach((value, k) => {
        const [column, pixel] = [Math.floor(k / PIXELS), k % PIXELS];
        const [x, y] = [column * SIDE + (pixel % SIDE), i * SIDE + Math.floor(pixel / SIDE)];
        picture.data.set([...channels(ink), 255 * value], 4 * (y * sheet.width + x));
      }));
      pen.putImageData(picture, 0, 0);
      return sheet;
    };
  }

  // --- drawing a digit

  const board = find(".ink");
  const ink = new Float32Array(PIXELS); // what the pad shows ...
  let lines = []; // ... of these, [from, to] each
  let last = null; // the pen's place while it is down, in pixels
  let pen = [SIDE / 2, SIDE / 2]; // the keyboard's
  let penDown = false;
  let unread = false;
  let reading = false;

  const showInk = () => {
    paint(board, ink);
    if (board.matches(":focus-visible")) { // where the keyboard's pen is
      const mark = board.getContext("2d");
      mark.fillStyle = penDown ? "#f90" : "#59f";
      mark.fillRect(Math.floor(pen[0]), Math.floor(pen[1]), 1, 1);
    }
  };
  const read = async () => {
    unread = true;
    if (reading) return;
    reading = true;
    while (unread) {
      unread = false;
      if (lines.length) {
        await give(find(".mnist").checked ? asMnist(lines) : ink.slice(), "Your drawing, as the encoder sees it.");
        find(".landed").textContent = `It lands at ${describe(given.mean)}; ${nearestClass(given.mean)}.`;
        journey++;
        go(given.mean, { hold: true });
      } else {
        find(".landed").textContent = "Where does it land?";
        if (given?.index === null) given = null;
        show();
      }
    }
    reading = false;
  };
  const draw = (from, to) => { lines.push([from, to]); stroke(ink, from, to); showInk(); read(); };
  const place = (event) => {
    const box = board.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width * SIDE, (event.clientY - box.top) / box.height * SIDE];
  };
  const clear = () => { ink.fill(0); lines = []; penDown = false; showInk(); read(); };

  board.addEventListener("pointerdown", (event) => {
    board.setPointerCapture(event.pointerId);
    last = place(event);
    draw(last, last);
  });
  board.addEventListener("pointermove", (event) => {
    if (!last) return;
    for (const step of event.getCoalescedEvents?.() ?? [event]) {
      const next = place(step);
      draw(last, next);
      last = next;
    }
  });
  for (const end of ["pointerup", "pointercancel"]) board.addEventListener(end, () => { last = null; });
  for (const change of ["focus", "blur"]) board.addEventListener(change, showInk);
  board.addEventListener("keydown", (event) => {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] || [];
    if (dx !== undefined) {
      const next = [pen[0] + dx, pen[1] + dy].map((value) => clamp(value, 1, SIDE - 1));
      if (penDown) draw(pen, next);
      pen = next;
    } else if (event.key === " ") {
      penDown = !penDown;
      if (penDown) draw(pen, pen);
    } else if (event.key === "Delete" || event.key === "Backspace") clear();
    else return;
    event.preventDefault();
    showInk();
  });
  find(".clear").addEventListener("click", clear);
  find(".mnist").addEventListener("change", read);
  showInk();
  read();

  // --- a walk from A to B

  const ways = { straight: line, ...(meta.latent > 2 ? { round: arc } : {}) };
  for (const name of Object.keys(ways)) {
    find(`.${name} .strip`).innerHTML = Array.from({ length: FRAMES }, (_, i) =>
      `<button type="button" disabled aria-label="Go to step ${i + 1} of ${FRAMES}"><canvas class="digit" width="${SIDE}" height="${SIDE}"></canvas></button>`,
    ).join("");
    find(`.${name} .strip`).querySelectorAll("button").forEach((button, i) => button.addEventListener("click", () =>
      glide(ways[name](ends.a, ends.b, i / (FRAMES - 1)), { hold: true })));
  }
  async function setEnd(end, code) {
    ends[end] = [...code];
    const text = ["a", "b"].map((name) => (ends[name] ? `${name.toUpperCase()}: ${describe(ends[name])}` : `${name.toUpperCase()} is not set`));
    find(".ends").textContent = text.join("; ");
    find(".play").disabled = !picked();
    show();
    if (!picked()) return;
    for (const [name, way] of Object.entries(ways)) {
      const codes = Array.from({ length: FRAMES }, (_, i) => way(ends.a, ends.b, i / (FRAMES - 1)));
      const decoded = await backend.decode(codes);
      find(`.${name}`).classList.add("ready");
      root.querySelectorAll(`.${name} button`).forEach((button, i) => {
        button.disabled = false;
        paint(button.firstChild, decoded, i * PIXELS);
      });
    }
  }
  for (const end of ["a", "b"]) find(`.set-${end}`).addEventListener("click", () => setEnd(end, z));
  find(".ends").textContent = "Go somewhere, set A; go elsewhere, set B.";
  find(".play").disabled = true;
  find(".play").addEventListener("click", () =>
    travel((t) => line(ends.a, ends.b, t), 4000, () => go(ends.b, { hold: true })));

  // --- the view in the page's address, a drawing excepted; a notebook's own address is left alone

  const addressed = !kernel && location.protocol !== "about:";
  const view = () => {
    const x = Number.isInteger(given?.index) && [given.index + 1];
    const shown = Object.entries({ z, ...ends, x, plane: plane && [1] }).filter(([, values]) => values);
    return `#${shown.map(([name, values]) => `${name}=${values.map((value) => Number(value.toFixed(6)))}`).join("&")}`;
  };
  let kept = view(); // the address stays as it is until somebody moves
  function remember() {
    if (addressed && view() !== kept) history.replaceState(null, "", kept = view());
  }
  async function restore() {
    const asked = new URLSearchParams(location.hash.slice(1));
    const numbers = (name, length) => {
      const values = (asked.get(name) ?? "").split(",").map(Number);
      return asked.has(name) && values.length === length && values.every(Number.isFinite) ? values : null;
    };
    const [code, a, b] = ["z", "a", "b"].map((name) => numbers(name, meta.latent));
    const image = numbers("x", 1)?.[0] - 1;
    if (means[image]) await giveImage(image);
    if (a) setEnd("a", a);
    if (b) setEnd("b", b);
    if (asked.has("plane") && !find(".plane")?.checked) find(".plane")?.click();
    const there = code ?? means[image];
    go(there ?? z, { hold: there ? true : held });
  }
  if (addressed) addEventListener("hashchange", restore);

  // --- size and theme

  const drawAll = () => { if (size) { drawPoints(); drawCursor(); } };
  dress(root, drawAll);
  new ResizeObserver(() => {
    size = frame.clientWidth;
    drawAll();
  }).observe(frame);
  if (addressed) await restore();
  else go(z);
  root.dataset.ready = "";
}

/** What anywidget calls in a notebook. */
export default {
  async render({ model, el }) {
    const root = document.createElement("div");
    root.dataset.lmSuppressShortcuts = "true"; // arrows and letters are the explorer's, not JupyterLab's
    el.append(root);
    await mount(root, model.get("meta"), model.get("pack"), remote(model));
  },
};
