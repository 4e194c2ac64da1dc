"use strict";
(() => {
  const data = JSON.parse(document.getElementById("surfaces").textContent);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const drawn = new Set();
  function draw(place) {
    const found = data[Number(place.dataset.surface)];
    const axis = (title) => ({ title: { text: title }, color: colour("--soft"), gridcolor: colour("--line"), backgroundcolor: "transparent" });
    const scale = Array.from({ length: 12 }, (_, i) => [i / 11, colour(`--v${i}`)]);
    Plotly.react(place, [{ type: "surface", x: found.x, y: found.y, z: found.z, colorscale: scale, showscale: false }], {
      paper_bgcolor: "transparent", margin: { l: 0, r: 0, t: 0, b: 0 }, font: { family: "inherit", size: 11 },
      scene: { xaxis: axis("first direction"), yaxis: axis("second direction"), zaxis: axis(found.zLabel) },
    }, { responsive: true, displaylogo: false, displayModeBar: false, showSendToCloud: false });
    drawn.add(place);
  }
  // A browser gives a page few 3-D canvases: a surface is drawn when it is first seen.
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting && !drawn.has(entry.target)) draw(entry.target);
  });
  document.querySelectorAll("[data-surface]").forEach((place) => seen.observe(place));
  document.addEventListener("themechange", () => drawn.forEach(draw));
})();
