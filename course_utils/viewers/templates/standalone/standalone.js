/* What the explorer and the animation share: arrays, colours, the ground of a map, and being opened in a page.
 *
 * It stands before either of them in one module. No library, nothing loaded from anywhere.
 */

const TYPES = { int8: Int8Array, uint8: Uint8Array, int16: Int16Array, float32: Float32Array };

async function unpack(bytes, layout) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const arrays = {};
  let start = 0;
  for (const [name, type, length] of layout) {
    const end = start + length * TYPES[type].BYTES_PER_ELEMENT;
    arrays[name] = new TYPES[type](buffer.slice(start, end));
    start = end;
  }
  return arrays;
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** Minus sign, fixed decimals, no "-0.0". */
function number(value, decimals = 2) {
  const text = value.toFixed(decimals);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "\u2212");
}

const channels = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
const lighter = (hex, share) =>
  `rgb(${channels(hex).map((value) => Math.round(value + (255 - value) * share)).join(",")})`;

/** Black or white, whichever reads better on the colour (WCAG's relative luminance). */
function inkOn(hex) {
  const [r, g, b] = channels(hex).map((value) => ((value / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#000" : "#fff";
}

// --- a map -------------------------------------------------------------------------------------------

/** A square canvas cleared for drawing in CSS pixels. */
function penOf(canvas, size) {
  const ratio = devicePixelRatio || 1;
  if (canvas.width !== Math.round(size * ratio)) canvas.width = canvas.height = Math.round(size * ratio);
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, size, size);
  return pen;
}

/** Axes through the prior's middle, and its circles at one and two standard deviations of `unit` pixels. */
function drawGround(pen, size, [x, y], unit, colour) {
  pen.strokeStyle = colour("--line");
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(x, 0); pen.lineTo(x, size);
  pen.moveTo(0, y); pen.lineTo(size, y);
  pen.stroke();
  pen.setLineDash([3, 4]);
  pen.strokeStyle = colour("--soft");
  pen.globalAlpha = 0.6;
  for (const deviations of [1, 2]) {
    pen.beginPath();
    pen.arc(x, y, deviations * unit, 0, 2 * Math.PI);
    pen.stroke();
  }
  pen.setLineDash([]);
  pen.globalAlpha = 1;
}

function nameAxes(pen, size, names, colour) {
  pen.fillStyle = colour("--soft");
  pen.font = "12px system-ui, sans-serif";
  pen.textBaseline = "alphabetic";
  pen.strokeStyle = colour("--wash"); // a rim, for something may lie below
  pen.lineWidth = 5;
  pen.lineJoin = "round";
  for (const [text, align, x, y] of [
    [`${names[0]} \u2192`, "right", size - 9, size - 9], [`\u2191 ${names[1]}`, "left", 9, 19],
  ]) {
    pen.textAlign = align;
    pen.strokeText(text, x, y);
    pen.fillText(text, x, y);
  }
}

/** A name on its colour, kept within the map. */
function pill(pen, size, text, [x, y], fill, ink, rim) {
  pen.font = `600 ${text.length > 2 ? 12 : 14}px system-ui, sans-serif`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  const width = Math.max(22, pen.measureText(text).width + 14);
  pen.beginPath();
  pen.roundRect(clamp(x - width / 2, 3, size - width - 3), clamp(y - 11, 3, size - 25), width, 22, 11);
  pen.fillStyle = fill;
  pen.strokeStyle = rim;
  pen.lineWidth = 2;
  pen.fill();
  pen.stroke();
  pen.fillStyle = ink;
  pen.fillText(text, clamp(x, 3 + width / 2, size - 3 - width / 2), clamp(y, 14, size - 14) + 1);
}

// --- in a page ---------------------------------------------------------------------------------------

/** Light or dark: JupyterLab's own theme where there is one, the system's elsewhere; `draw` after a change. */
function dress(root, draw) {
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const put = () => {
    const lab = document.body.dataset.jpThemeLight;
    root.dataset.theme = (lab ? lab === "false" : systemDark.matches) ? "dark" : "light";
    draw();
  };
  systemDark.addEventListener("change", put);
  new MutationObserver(put).observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
  put();
}

/** What a page calls: the values and the base64 of the arrays stand in an element of it. */
function open(root, source) {
  const { pack, ...meta } = JSON.parse(source.textContent);
  return mount(root, meta, Uint8Array.from(atob(pack), (character) => character.charCodeAt(0))).catch((problem) => {
    root.textContent = `This browser cannot show this page; one of 2023 or later can (${problem.message}).`;
    throw problem;
  });
}

