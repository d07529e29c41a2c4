// The report's script: draws every plot of the embedded data with Chart.js.
//
// Bars lie, so that their labels can be read on a phone. Numbers are written as in the tables.
// When the reader's light or dark setting changes, the plots are drawn again.
#include "treadle/lab/report_html.hpp"

namespace treadle::lab {

const std::string_view page_script = R"js(
"use strict";
(() => {
  const plots = JSON.parse(document.getElementById("data").textContent);
  for (const row of plots.flatMap((plot) => plot.rows)) {
    row.label = row.label.replace(/(\d) us\b/g, "$1 \u00b5s");
  }
  const names = {"m:1": "many-to-one", "1:1": "one-to-one", "m:n": "many-to-many"};
  const charts = [];
  const style = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const colour = (model) => style(names[model] || "soft");

  const steps = {
    "ns": [[1e9, "s"], [1e6, "ms"], [1e3, "\u00b5s"], [0, "ns"]],
    "B": [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"], [0, "B"]],
    "rate": [[1e9, "G"], [1e6, "M"], [1e3, "k"], [0, ""]],
  };
  function digits(value) {
    const size = Math.abs(value);
    if (size >= 1000) return Math.round(value).toLocaleString("en");
    return String(Number(value.toPrecision(3)));
  }
  function human(value, unit) {
    const table = unit.endsWith("/s") ? steps.rate : steps[unit];
    if (!table) return unit ? digits(value) + " " + unit : digits(value);
    const [at, name] = table.find(([from]) => Math.abs(value) >= from * 0.9995);
    const text = digits(at > 0 ? value / at : value);
    if (!unit.endsWith("/s")) return text + " " + name;
    return text + (name ? " " + name : "") + " " + unit;
  }
  // An axis has no room for "sections/s" or "threads" at every tick: its title says it.
  const titled = (unit) => unit && !steps[unit];
  const tick = (value, unit) => !titled(unit) ? human(value, unit)
    : unit.endsWith("/s") ? human(value, "/s").replace(/\s*\/s$/, "") : digits(value);

  // Ticks at round numbers of the unit: powers of ten, or of two for bytes.
  function round_ticks(axis, unit, logarithmic) {
    if (logarithmic) {
      const base = unit === "B" ? 2 : 10;
      const first = Math.ceil(Math.log(axis.min) / Math.log(base) - 1e-9);
      const last = Math.floor(Math.log(axis.max) / Math.log(base) + 1e-9);
      const step = Math.max(1, Math.ceil((last - first + 1) / 5));
      axis.ticks = [];
      for (let power = first; power <= last; power += step) {
        axis.ticks.push({value: base ** power});
      }
    } else if (unit === "B") {
      let step = 1;
      while (axis.max / step > 5) step *= 2;
      axis.ticks = [];
      for (let value = 0; value <= axis.max; value += step) axis.ticks.push({value});
    }
  }

  function value_axis(plot) {
    const values = plot.rows.flatMap((row) => [row.predicted, row.measured])
      .filter((value) => value > 0);
    const axis = {
      grid: {color: style("line")},
      ticks: {color: style("soft"), maxTicksLimit: 5, maxRotation: 0,
              callback: (value) => tick(value, plot.unit)},
    };
    if (titled(plot.unit)) {
      axis.title = {display: true, text: plot.unit, color: style("soft")};
    }
    if (plot.logarithmic && values.length) {
      axis.type = "logarithmic";
      axis.min = 10 ** Math.floor(Math.log10(Math.min(...values) * 0.7));
      axis.max = Math.max(...values) * 1.5;
    } else {
      axis.beginAtZero = true;
    }
    axis.afterBuildTicks = (built) => round_ticks(built, plot.unit, axis.type === "logarithmic");
    return axis;
  }

  function tooltip(plot) {
    return {callbacks: {label: (item) => {
      const value = item.dataset.values ? item.dataset.values[item.dataIndex] : item.raw;
      return value === null ? "" : item.dataset.label + ": " + human(value, plot.unit);
    }}};
  }

  function bars(plot) {
    const labels = plot.rows.map((row) => row.label);
    const colours = plot.rows.map((row) => colour(row.model));
    const names_of_pair = plot.names || ["predicted", "measured"];
    const set = (label, field, fill) => ({
      label, values: plot.rows.map((row) => row[field]), data: plot.rows.map((row) => row[field]),
      backgroundColor: fill ? colours : "transparent", borderColor: colours, borderWidth: 2,
      borderSkipped: false, barPercentage: 0.95, categoryPercentage: 0.8,
      minBarLength: plot.logarithmic ? 0 : 2,
    });
    return {
      type: "bar",
      data: {labels, datasets: [set(names_of_pair[0], "predicted", false),
                                set(names_of_pair[1], "measured", true)]},
      options: {
        indexAxis: "y", responsive: true, maintainAspectRatio: false, animation: false,
        scales: {
          x: value_axis(plot),
          y: {grid: {display: false},
              ticks: {color: style("ink"), autoSkip: false, font: {size: 12}}},
        },
        plugins: {legend: {display: false}, tooltip: tooltip(plot)},
      },
    };
  }

  function lines(plot) {
    const labels = [...new Set(plot.rows.map((row) => row.label))];
    const models = [...new Set(plot.rows.map((row) => row.model))];
    const series = (model, field) => labels.map((label) => {
      const found = plot.rows.find((row) => row.model === model && row.label === label);
      return found ? found[field] : null;
    });
    const datasets = models.flatMap((model) => [
      {label: model + " predicted", data: series(model, "predicted"), borderColor: colour(model),
       backgroundColor: "transparent", borderDash: [6, 5], borderWidth: 2, pointRadius: 0},
      {label: model + " measured", data: series(model, "measured"), borderColor: colour(model),
       backgroundColor: colour(model), borderWidth: 3, pointRadius: 4},
    ]);
    return {
      type: "line",
      data: {labels, datasets},
      options: {
        responsive: true, maintainAspectRatio: false, animation: false,
        interaction: {mode: "index", intersect: false},
        scales: {
          x: {grid: {color: style("line")}, ticks: {color: style("ink"), maxRotation: 0},
              title: {display: Boolean(plot.axis), text: plot.axis, color: style("soft")}},
          y: value_axis(plot),
        },
        plugins: {
          legend: {position: "bottom", labels: {color: style("ink"), boxWidth: 24, boxHeight: 2}},
          tooltip: tooltip(plot),
        },
      },
    };
  }

  function draw() {
    charts.splice(0).forEach((chart) => chart.destroy());
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    for (const plot of plots) {
      const canvas = document.getElementById(plot.id);
      if (canvas) charts.push(new Chart(canvas, plot.kind === "bars" ? bars(plot) : lines(plot)));
    }
  }
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
)js";

}  // namespace treadle::lab
