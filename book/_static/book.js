/* What is wider than its column scrolls by itself; a reader without a mouse must be able to reach it. */
(() => {
  "use strict";
  const SCROLLERS = ".bd-article :is(pre, div.math, div.cell_output, .pst-scrollable-table-container)";
  function reach() {
    for (const box of document.querySelectorAll(SCROLLERS)) {
      const wide = box.scrollWidth > box.clientWidth; // as axe counts
      if (wide && !box.querySelector("a[href]:not(.headerlink), button, input, select, [tabindex='0']")) box.tabIndex = 0;
      else if (!wide && box.tabIndex === 0) box.removeAttribute("tabindex");
    }
  }
  for (const button of document.querySelectorAll(".btn-download-pdf-button")) button.addEventListener("click", () => window.print());
  if (typeof Search !== "undefined") {
    // What is found is shown as the page's own text, without formulas, which would stand there as TeX.
    Search.htmlToText = (text, anchor) => {
      const page = new DOMParser().parseFromString(text, "text/html").querySelector("article") ?? document.createElement("article");
      for (const other of page.querySelectorAll(".headerlink, .optdyn-run, script, style")) other.remove();
      const part = (anchor && page.querySelector(anchor)) || page;
      return part.textContent.trim().replace(/\\\([^]*?\\\)|\\\[[^]*?\\\]/g, "…");
    };
  }
  let timer = 0;
  const soon = () => (clearTimeout(timer), (timer = setTimeout(reach, 120)));
  window.addEventListener("resize", soon);
  window.addEventListener("load", () => {
    reach();
    window.MathJax?.startup?.promise?.then(() => document.fonts.ready).then(soon);
  });
})();
