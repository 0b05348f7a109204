// Questions that come back: first tries are counted, in this browser alone; a page of where one stands lists the wrong.
{
const KEY = "vae-course-recall";
const read = () => { try { return JSON.parse(localStorage.getItem(KEY)) || {}; } catch { return {}; } };
for (const section of document.querySelectorAll(".recall:not([data-on])")) {
  section.dataset.on = "";
  const items = [...section.querySelectorAll("li")];
  const show = () => {
    const tries = read(), tried = items.filter((item) => item.dataset.name in tries);
    const right = tried.filter((item) => tries[item.dataset.name]).length;
    section.querySelector(".recall-count").textContent = tried.length
      ? `Right at the first try: ${right} of ${tried.length}. Only this browser keeps count.` : "";
  };
  for (const item of items) {
    [...item.querySelectorAll("details")].forEach((answer, at) => answer.addEventListener("toggle", () => {
      const tries = read(), name = item.dataset.name;
      if (!answer.open || name in tries) return;
      tries[name] = String(at) === item.dataset.right;
      try { localStorage.setItem(KEY, JSON.stringify(tries)); } catch { return; }
      show();
    }));
  }
  show();
}
for (const again of document.querySelectorAll(".again:not([data-on])")) {
  again.dataset.on = "";
  const asked = JSON.parse(again.dataset.questions), tries = read();
  for (const name in asked) if (tries[name] === false) {
    again.querySelector("ul").append(Object.assign(document.createElement("li"), { textContent: asked[name] }));
    again.hidden = false;
  }
}
}
