/* How a latent space forms: codes, samples and losses over the epochs of a training.
 *
 * Time is counted in frames, one per epoch, and runs on between them while the animation plays: points move in
 * straight lines, samples change with the epoch. standalone.js stands before it.
 */

const FRAME = 600; // ms from one epoch to the next at speed 1
const SIDE = 28;
let animations = 0; // so that ids differ where a page shows several

function skeleton(id, meta) {
  const { epochs } = meta;
  return `<div class="layout">
    <figure class="map"><figcaption id="${id}-map">Codes of the images</figcaption>
      <div class="frame"><canvas class="points" role="img" aria-labelledby="${id}-map ${id}-now"></canvas></div></figure>
    <figure class="samples"><figcaption id="${id}-samples">Decoded from fixed codes</figcaption>
      <canvas class="sheet" role="img" aria-labelledby="${id}-samples ${id}-now"></canvas>
      <p class="hint">${meta.mapNote}</p></figure>
    <div class="controls"><div class="bar">
      <button class="play" type="button">Play</button>
      <input class="scrub" type="range" min="0" max="${epochs.length - 1}" step="1" value="0" aria-label="Epoch">
      <label class="hint">Speed <select class="speed" aria-label="Speed">${
        [0.5, 1, 2, 4].map((speed) => `<option value="${speed}"${speed === 1 ? " selected" : ""}>${speed} ×</option>`).join("")
      }</select></label></div>
      <p class="now" id="${id}-now"><b></b> <span></span></p></div>
    <div class="curves">${meta.curves}<p class="hint">Keys on the slider: arrows go from epoch to epoch, Home and End to the first and last, Space plays and pauses.
      A click into a curve goes to its epoch.</p></div></div>`;
}

async function mount(root, meta, bytes) {
  const { moves, labels, samples } = await unpack(bytes, meta.arrays);
  const { epochs } = meta;
  const [last, count] = [epochs.length - 1, labels.length];
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  // From moves to places: each frame starts where the one before it ended.
  const places = Float32Array.from(moves, (value) => value * meta.step);
  for (let i = 2 * count; i < places.length; i++) places[i] += places[i - 2 * count];

  root.classList.add("vae-scene", "vae-animation");
  root.innerHTML = skeleton(`animation-${++animations}`, meta);
  const find = (selector) => root.querySelector(selector);
  const [canvas, frame, sheet, play, scrub, now] = [".points", ".frame", ".sheet", ".play", ".scrub", ".now"].map(find);

  let time = 0; // in frames
  let playing = false;
  let size = 0; // of the map, in CSS pixels

  // --- what there is at a time

  /** A share of the way from the values of one frame, `width` numbers at `offset`, to those of the next. */
  const between = (values, width, offset) => {
    const here = Math.floor(time);
    const there = Math.min(here + 1, last);
    return [0, 1].map((k) => {
      const [a, b] = [here, there].map((index) => values[index * width + offset + k]);
      return a + (b - a) * (time - here);
    });
  };
  const toScreen = ([x, y]) => [size / 2 + (x / meta.half) * size / 2, size / 2 - (y / meta.half) * size / 2];
  const names = meta.names.flat(2);

  function drawMap() {
    if (!size) return;
    const pen = penOf(canvas, size);
    const style = getComputedStyle(root);
    const colour = (name) => style.getPropertyValue(name).trim();
    const dark = root.dataset.theme === "dark";
    drawGround(pen, size, toScreen([0, 0]), size / 2 / meta.half, colour);
    const colours = dark ? meta.colours.map((hex) => lighter(hex, 0.35)) : meta.colours;
    const radius = clamp(90 / Math.sqrt(count), 1.6, 4) * clamp(size / 560, 0.7, 1.2);
    pen.globalAlpha = dark ? 0.75 : 0.6;
    for (let i = 0; i < count; i++) {
      const [x, y] = toScreen(between(places, 2 * count, 2 * i));
      pen.fillStyle = colours[labels[i]];
      pen.beginPath();
      pen.arc(x, y, radius, 0, 2 * Math.PI);
      pen.fill();
    }
    // Of an untrained model all codes lie in one place, and names would only hide it.
    pen.globalAlpha = epochs[0] === 0 ? clamp(time, 0, 1) : 1;
    if (pen.globalAlpha > 0) meta.named.forEach((label, i) => pill(
      pen, size, meta.classes[label], toScreen(between(names, 2 * meta.named.length, 2 * i)),
      meta.colours[label], inkOn(meta.colours[label]), colour("--paper")));
    pen.globalAlpha = 1;
    nameAxes(pen, size, ["z1", "z2"], colour);
  }

  const pixels = SIDE * SIDE;
  const shown = samples.length / pixels / epochs.length;
  const columns = Math.ceil(Math.sqrt(shown));
  [sheet.width, sheet.height] = [columns * SIDE, Math.ceil(shown / columns) * SIDE];
  const picture = new ImageData(sheet.width, sheet.height);
  function drawSamples(index) {
    picture.data.fill(255);
    for (let i = 0; i < shown * pixels; i++) {
      const [tile, pixel] = [Math.floor(i / pixels), i % pixels];
      const row = Math.floor(tile / columns) * SIDE + Math.floor(pixel / SIDE);
      const at = row * sheet.width + (tile % columns) * SIDE + (pixel % SIDE);
      picture.data.fill(Math.round((255 * samples[index * shown * pixels + i]) / meta.greys), 4 * at, 4 * at + 3);
    }
    sheet.getContext("2d").putImageData(picture, 0, 0);
  }

  // --- the curves: a line at the time in each, and a click that goes there

  const { left, right, top, bottom } = meta.panel;
  const trained = epochs[last]; // epochs of the curves, which begin at 1
  const marks = [...root.querySelectorAll(".curves svg")].map((svg) => {
    const mark = document.createElementNS("http://www.w3.org/2000/svg", "line");
    mark.setAttribute("class", "mark");
    mark.setAttribute("y1", top);
    mark.setAttribute("y2", bottom);
    svg.append(mark);
    svg.addEventListener("click", (event) => {
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
      const epoch = 1 + ((x - left) / (right - left)) * (trained - 1);
      pause();
      go(Math.round(epoch) - epochs[0]);
    });
    return mark;
  });

  let drawn = -1; // the epoch that is written and painted
  function draw() {
    drawMap();
    const index = Math.floor(time + 1e-9);
    const epoch = time + epochs[0];
    const x = left + ((right - left) * (epoch - 1)) / Math.max(1, trained - 1);
    for (const mark of marks) {
      mark.setAttribute("visibility", epoch < 1 ? "hidden" : "visible");
      mark.setAttribute("x1", x);
      mark.setAttribute("x2", x);
    }
    if (index === drawn) return;
    drawn = index;
    drawSamples(index);
    scrub.value = index;
    scrub.setAttribute("aria-valuetext", `epoch ${epochs[index]}: ${meta.said[index]}`);
    now.children[0].textContent = `epoch ${epochs[index]}`;
    now.children[1].textContent = meta.said[index];
    root.dataset.epoch = epochs[index];
  }

  // --- time

  function go(frame) {
    time = clamp(frame, 0, last);
    draw();
  }
  function pause() {
    playing = false;
    play.textContent = "Play";
  }
  function start() {
    if (time >= last) time = 0; // once more from the beginning
    playing = true;
    play.textContent = "Pause";
    let before = performance.now();
    let exact = time; // shown in whole epochs where motion is not wanted
    const tick = (moment) => {
      if (!playing || !root.isConnected) return;
      exact = Math.min(last, exact + ((moment - before) / FRAME) * Number(find(".speed").value));
      before = moment;
      go(still.matches ? Math.floor(exact) : exact);
      if (exact >= last) pause();
      else requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }
  const toggle = () => (playing ? pause() : start());
  play.addEventListener("click", toggle);
  scrub.addEventListener("input", () => { pause(); go(Number(scrub.value)); });
  scrub.addEventListener("keydown", (event) => {
    if (event.key !== " ") return;
    event.preventDefault();
    toggle();
  });

  new ResizeObserver(() => { size = frame.clientWidth; drawMap(); }).observe(frame);
  dress(root, drawMap);
  go(0);
  root.dataset.ready = "";
}
