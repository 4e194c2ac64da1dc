"use strict";
(() => {
  const data = JSON.parse(document.getElementById("surfaces").textContent);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const heights = data.flatMap((found) => found.z.flat()).filter((height) => height !== null);
  // All surfaces on one scale of heights and colours.
  const range = heights.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);
  const cameras = new Map();
  const drawn = new Set();
  function draw(place) {
    const found = data[Number(place.dataset.surface)];
    const axis = (text) => ({ title: { text }, color: colour("--soft"), gridcolor: colour("--line"), showspikes: false });
    const scale = Array.from({ length: 12 }, (_, i) => [i / 11, colour(`--v${i}`)]);
    const scene = { xaxis: axis("first direction"), yaxis: axis("second direction"), zaxis: { ...axis(found.zLabel), range }, aspectmode: "manual", aspectratio: { x: 1, y: 1, z: 0.8 }, camera: { eye: { x: 1.5, y: 1.5, z: 0.9 } } };
    if (cameras.has(place)) scene.camera = cameras.get(place);
    Plotly.react(place, [{ type: "surface", x: found.x, y: found.y, z: found.z, colorscale: scale, showscale: false, cmin: range[0], cmax: range[1] }], {
      paper_bgcolor: "rgba(0,0,0,0)", margin: { l: 0, r: 0, t: 0, b: 0 }, font: { size: 11 }, scene,
    }, { responsive: true, displaylogo: false, displayModeBar: false });
    drawn.add(place);
  }
  // A browser gives a page few 3-D canvases: only what is in sight has one.
  const seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting && !drawn.has(target)) draw(target);
      if (!isIntersecting && drawn.has(target)) {
        if (target.layout?.scene?.camera) cameras.set(target, target.layout.scene.camera);
        Plotly.purge(target);
        drawn.delete(target);
      }
    }
  });
  document.querySelectorAll("[data-surface]").forEach((place) => seen.observe(place));
  document.addEventListener("themechange", () => drawn.forEach(draw));
})();
