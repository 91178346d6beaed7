"use strict";
// Draws the page's figures with plotly.js. Colours in them are CSS variables, read anew when the theme changes; the
// width is the page's, measured anew when it changes and before printing.
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const root = document.documentElement;
  const plots = [...document.querySelectorAll(".plot")];
  const brush = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const probe = document.body.appendChild(document.createElement("i"));
  probe.hidden = true;

  // plotly.js knows no light-dark() and no color-mix(): what a browser paints it does
  function painted(variable) {
    probe.style.color = variable;
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = getComputedStyle(probe).color;
    brush.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = brush.getImageData(0, 0, 1, 1).data;
    return `rgba(${red},${green},${blue},${(alpha / 255).toFixed(3)})`;
  }

  function coloured(value, known) {
    if (typeof value === "string") {
      if (!value.startsWith("var(--")) return value;
      if (!known.has(value)) known.set(value, painted(value));
      return known.get(value);
    }
    if (Array.isArray(value)) return value.map((entry) => coloured(entry, known));
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, coloured(entry, known)]));
    return value;
  }

  function axis(given, known) {
    const line = known.get("line");
    return { gridcolor: line, zerolinecolor: line, linecolor: line, tickcolor: line, zeroline: false, automargin: false,
      ...given, title: { standoff: 8, ...given?.title, font: { size: 12, color: known.get("soft") } } };
  }

  function draw() {
    const known = new Map();
    for (const name of ["ink", "soft", "line", "raised"]) known.set(name, painted(`var(--${name})`));
    for (const plot of plots) {
      const { data, layout } = coloured(figures[plot.dataset.figure], known);
      for (const name of Object.keys(layout)) if (/^[xy]axis/.test(name)) layout[name] = axis(layout[name], known);
      // what is taller than a sheet of paper cannot be kept on one; rings are as high as they are wide
      const tall = root.classList.contains("paper") ? Math.min(plot.dataset.height, 780) : Number(plot.dataset.height);
      const height = data[0].type === "sunburst" ? Math.min(tall, plot.clientWidth) : tall;
      plot.style.height = `${height}px`;
      Plotly.react(plot, data, {
        ...layout,
        width: plot.clientWidth, height, autosize: false, dragmode: false,
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
        font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: known.get("soft") },
        hoverlabel: { bgcolor: known.get("raised"), bordercolor: known.get("line"), font: { color: known.get("ink"), size: 12 }, align: "left" },
      }, { displayModeBar: false, displaylogo: false, showTips: false, scrollZoom: false, doubleClick: false });
    }
    root.dataset.drawn = String(Number(root.dataset.drawn || 0) + 1);
  }

  const buttons = [...document.querySelectorAll(".theme button")];
  function choose(theme) {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.value === theme));
  }
  let remembered = null;
  try { remembered = localStorage.getItem("humannet-theme"); } catch { /* a file without storage */ }
  choose(["light", "dark"].includes(remembered) ? remembered : "auto");
  for (const button of buttons)
    button.addEventListener("click", () => {
      choose(button.value);
      try { localStorage.setItem("humannet-theme", button.value); } catch { /* it holds until the page is left */ }
      draw();
    });
  document.querySelector(".theme").hidden = false;

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  let width = innerWidth;
  let waiting = 0;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(draw);
  });
  addEventListener("beforeprint", () => { root.classList.add("paper"); draw(); });
  addEventListener("afterprint", () => { root.classList.remove("paper"); draw(); });
  draw();
})();
