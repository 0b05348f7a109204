/* What the pages can do with a script: light or dark, search, enlarged figures. No library, nothing from outside. */
"use strict";

const root = document.documentElement;

// --- light and dark: the system's choice until the reader makes one; set before anything is drawn

const memory = { // a browser may refuse to remember, in private windows for instance
  get: () => { try { return localStorage.getItem("course-theme"); } catch { return null; } },
  set: (theme) => { try { localStorage.setItem("course-theme", theme); } catch { /* this page only */ } },
};
const systemDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme || (systemDark.matches ? "dark" : "light")) === "dark";
if (["light", "dark"].includes(memory.get())) root.dataset.theme = memory.get();

function themes() {
  const button = document.querySelector(".theme");
  const show = () => {
    button.setAttribute("aria-label", isDark() ? "Light colours" : "Dark colours");
    button.title = button.getAttribute("aria-label");
    // What the explorer asks for, as it does in JupyterLab.
    if (root.dataset.theme) document.body.dataset.jpThemeLight = String(!isDark());
  };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    memory.set(root.dataset.theme);
    show();
  });
  systemDark.addEventListener("change", show);
  button.hidden = false;
  show();
}

// --- search: passages [file, page, anchor, heading, text] from search.js, fetched when first needed

const SHOWN = 12;

function load() {
  load.done ??= new Promise((resolve) => {
    const script = document.createElement("script");
    script.src = "search.js";
    script.addEventListener("load", () => resolve(window.coursePassages));
    document.head.append(script);
  });
  return load.done;
}

/** A pattern for each word of the query; it matches where a word begins with it. */
const patterns = (query) =>
  (query.match(/\S+/g) || []).map((word) =>
    new RegExp(`(?<![\\p{L}\\p{N}])${word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}`, "giu"));

/** How well a passage answers: headings count most, then titles, then the text; 0 if a word is missing. */
function score([, title, , heading, text], wanted) {
  let sum = 0;
  for (const pattern of wanted) {
    const hits = [heading, title, text].map((where) => (where.match(pattern) || []).length);
    if (!hits.some(Boolean)) return 0;
    sum += 20 * Math.min(1, hits[0]) + 8 * Math.min(1, hits[1]) + Math.min(6, hits[2]);
  }
  return sum;
}

function find(passages, query) {
  const wanted = patterns(query);
  if (!wanted.length) return [];
  return passages.map((passage) => [score(passage, wanted), passage])
    .filter(([points]) => points).sort((a, b) => b[0] - a[0]).map(([, passage]) => passage);
}

/** Some words around the first hit, with the hits marked. */
function excerpt(text, query) {
  const wanted = patterns(query);
  const first = Math.min(...wanted.map((p) => text.search(p)).filter((at) => at >= 0), text.length);
  const start = first < text.length ? text.lastIndexOf(" ", Math.max(0, first - 50)) + 1 : 0;
  const part = text.slice(start, start + 150);
  const pieces = part.split(new RegExp(`(${wanted.map((p) => p.source).join("|")})`, "giu"));
  return [start ? "… " : "", ...pieces.map((piece, i) => {
    if (i % 2 === 0) return piece;
    const mark = document.createElement("mark");
    mark.textContent = piece;
    return mark;
  })];
}

function result([file, title, anchor, heading, text], query) {
  const link = document.createElement("a");
  link.href = `${file}#${anchor}`;
  const name = document.createElement("strong");
  name.textContent = heading;
  const words = document.createElement("small");
  words.append(...excerpt(text, query));
  link.append(name, ` · ${title}`, words);
  const item = document.createElement("li");
  item.append(link);
  return item;
}

function searching() {
  const form = document.querySelector(".search");
  const [input, hits, status, list] = ["input", ".hits", "p", "ol"].map((part) => form.querySelector(part));
  const close = () => { hits.hidden = true; };
  const show = async () => {
    const query = input.value.trim();
    const found = find(await load(), query);
    if (query !== input.value.trim()) return; // typed on meanwhile
    list.replaceChildren(...found.slice(0, SHOWN).map((passage) => result(passage, query)));
    const more = found.length > SHOWN ? `, the best ${SHOWN} shown` : "";
    status.textContent = `${found.length || "No"} ${found.length === 1 ? "passage" : "passages"}${more}`;
    hits.hidden = !query;
  };
  input.addEventListener("input", show);
  input.addEventListener("focus", load);
  input.addEventListener("click", () => input.value && show());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    list.querySelector("a")?.click();
  });
  form.addEventListener("click", (event) => event.target.closest("a") && close());
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      close();
      input.focus();
    }
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const stops = [input, ...list.querySelectorAll("a")];
    const at = stops.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
    stops[Math.max(0, Math.min(stops.length - 1, at))].focus();
    event.preventDefault();
  });
  document.addEventListener("pointerdown", (event) => form.contains(event.target) || close());
  form.addEventListener("focusout", (event) => event.relatedTarget && !form.contains(event.relatedTarget) && close());
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.closest("input, textarea, select")) return;
    event.preventDefault();
    input.focus();
  });
  form.hidden = false;
}

// --- figures: a dialog of the browser's own, which Escape closes and which gives the focus back

function enlarging() {
  const dialog = document.querySelector(".enlarged");
  const image = document.createElement("img");
  dialog.append(image);
  for (const link of document.querySelectorAll("a.figure")) {
    link.setAttribute("aria-haspopup", "dialog");
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a tab of its own was wanted
      event.preventDefault();
      const small = link.querySelector("img");
      image.src = link.href;
      image.alt = small.alt;
      image.style.setProperty("--ratio", small.width / small.height);
      dialog.showModal();
    });
  }
  dialog.addEventListener("click", (event) => (event.target === dialog || event.target === image) && dialog.close());
}

// --- what scrolls sideways can be reached with the Tab key, and nothing else is a stop

function scrolling() {
  const watch = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth + 1) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });
  for (const box of document.querySelectorAll("pre, .scroll, math, .output_html")) watch.observe(box);
}

document.addEventListener("DOMContentLoaded", () => {
  themes();
  searching();
  enlarging();
  scrolling();
  const menu = document.getElementById("menu");
  menu.addEventListener("click", (event) => event.target.closest("a") && menu.hidePopover?.());
});
