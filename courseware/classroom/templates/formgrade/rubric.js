// What keys and clicks do at a written answer: items are lines of its comment, and its points are their sum.
// Both go into the gradebook by the models that formgrader's own page has.
const ITEM = /^- \*\*([a-z]), ([+−-]?\d+(?:\.\d+)?):\*\* ./; // as rubrics.py has it
const item = (part) => ITEM.exec(part)?.[1];
const worth = (part) => Number(ITEM.exec(part)[2].replace("−", "-"));

for (const panel of document.querySelectorAll(".rubric")) {
  const { question, most, size, others } = panel.dataset;
  const [status, bar, details] = ["span", "progress", "details"].map((name) => panel.querySelector(name));
  const buttons = [...panel.querySelectorAll("button")];
  const grade = () => formgrader.grades.findWhere({ name: question });
  const comment = () => formgrader.comments.findWhere({ name: question });
  const text = () => comment().get("manual_comment") || "";
  const parts = () => text().split(/\n\s*\n|\n(?=- \*\*)|(?<=^- \*\*.*)\n/m); // an item is a line of its own
  const adds = ({ dataset }, part) => part === dataset.adds || (item(part) && item(part) === item(dataset.adds));
  let fetched;
  let saving = new Promise((done) => (fetched = done)); // a key waits until what was before it is kept

  function press(button) {
    saving = saving.then(() => {
      const now = parts().filter((part) => part && !adds(button, part));
      if (button.ariaPressed !== "true") now.push(button.dataset.adds);
      const sum = now.filter(item).reduce((all, part) => all + worth(part), 0);
      const points = now.some(item) ? Math.min(Math.max(sum, 0), most) : null; // without items it waits again
      return Promise.all([
        comment().save({ manual_comment: now.join("\n\n") }),
        item(button.dataset.adds) && grade().save({ manual_score: points }),
      ]);
    });
    saving.catch(() => (status.textContent = "This was not saved: load the page again."));
  }

  function show() {
    if (!grade() || !comment()) return;
    fetched();
    for (const button of buttons) button.ariaPressed = parts().some((part) => adds(button, part));
    const left = Number(others) + grade().get("needs_manual_grade");
    bar.value = size - left;
    const given = grade().get("manual_score") ?? "no";
    status.textContent = `${size - left} of ${size} answers graded, ${left} left; this one has ${given} points`;
    autosize.update(document.querySelectorAll("textarea.comment"));
  }

  panel.addEventListener("click", ({ target }) => target.closest("button") && press(target.closest("button")));
  panel.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    event.stopPropagation(); // formgrader would go on from here by Tab and Enter
    const button = buttons.find((one) => one.getAttribute("aria-keyshortcuts") === event.key);
    if (button && !event.repeat) press(button);
    else if (event.key === ".") saving.then(() => panel.querySelector("a.pull-right")?.click());
    else if (event.key === "/") details.open = !details.open;
    else return;
    event.preventDefault();
  });
  window.addEventListener("load", () => { // formgrader's own comes first, and has begun to fetch
    for (const all of [formgrader.grades, formgrader.comments]) all.on("sync change", show);
  });
}

// At a rubric one sees the answer above it from its beginning.
const position = formgrader.getScrollPosition;
formgrader.getScrollPosition = function () {
  const answer = this.last_selected.closest(".rubric").parent().prev();
  return answer.length ? answer.offset().top - 70 : position.call(this);
};

// A page whose address names no place begins where somebody is waited for.
const place = [...document.querySelectorAll(".tabbable")].findIndex((one) => one.matches("[data-waits]"));
if (place >= 0 && !location.search) history.replaceState(null, "", `?index=${place}`);
