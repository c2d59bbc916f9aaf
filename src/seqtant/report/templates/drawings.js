"use strict";
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const palette = JSON.parse(document.getElementById("palette").textContent);
  const plots = [...document.querySelectorAll(".plot")];
  let printing = false;

  const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  const onDark = () => dark.matches && !printing;

  // On dark paper each color of the palette gives way to its counterpart; a suffix of transparency stays.
  const recolor = (text) =>
    onDark()
      ? Object.entries(palette).reduce((changed, [light, other]) => changed.replaceAll(light, other), text)
      : text;

  const theme = () => {
    const ink = printing ? "#222222" : variable("soft");
    const grid = printing ? "#dddddd" : variable("grid");
    const axis = {
      gridcolor: grid, linecolor: grid, zerolinecolor: grid, tickcolor: grid, automargin: true, ticks: "",
      title: { standoff: 10, font: { size: 13 } },
    };
    const font = { family: variable("sans"), size: 12.5, color: ink };
    return {
      layout: {
        font, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", 
        colorway: onDark() ? Object.values(palette) : Object.keys(palette),
        xaxis: axis, yaxis: axis, margin: { l: 56, r: 12, t: 12, b: 44 }, hovermode: "closest",
        hoverlabel: { font, bgcolor: variable("card"), bordercolor: grid },
        legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font },
        modebar: { bgcolor: "rgba(0,0,0,0)", color: grid, activecolor: ink },
      },
    };
  };

  const draw = (plot) => {
    const figure = JSON.parse(recolor(document.getElementById(plot.dataset.figure).textContent));
    const height = figure.layout.height || 380;
    const size = printing ? { width: 660, height, autosize: false } : { height, autosize: true };
    const layout = { ...figure.layout, ...size, template: theme() };
    const options = {
      responsive: true, displaylogo: false,
      // Named one by one: a later plotly.js must not add a button that sends a chart away.
      modeBarButtons: [["toImage"], ["zoom2d", "pan2d", "resetScale2d"]],
      plotlyServerURL: "", showSendToCloud: false, showEditInChartStudio: false, showLink: false,
    };
    return Plotly.react(plot, figure.data, layout, options);
  };

  const drawAll = () => plots.forEach(draw);
  for (const plot of plots) plot.replaceChildren();
  drawAll();
  dark.addEventListener("change", drawAll);
  addEventListener("beforeprint", () => { printing = true; drawAll(); });
  addEventListener("afterprint", () => { printing = false; drawAll(); });
})();
