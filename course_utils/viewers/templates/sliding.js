for (const figure of document.querySelectorAll(".sliding")) {
  const slider = figure.querySelector("input"), states = JSON.parse(figure.dataset.states);
  slider.oninput = () => {
    const [shift, x, y, said] = states[slider.value];
    figure.querySelector(".moves").setAttribute("transform", `translate(${shift})`);
    figure.querySelector("circle").setAttribute("transform", `translate(${x} ${y})`);
    figure.querySelector("output").textContent = said;
    slider.setAttribute("aria-valuetext", said);
  };
  slider.onkeydown = (event) => event.stopPropagation(); // JupyterLab would keep the keys to itself
  slider.oninput();
}
