// Draws the diagrams of a page, in its colors. The script that can is 3.5 MB: it is
// fetched, from beside this one, only by pages that have a diagram.
(() => {
  const here = document.currentScript.src.replace(/[^/]*$/, "");
  const dark = () =>
    document.body.getAttribute("data-md-color-scheme") === "slate";

  const draw = async (blocks) => {
    window.mermaid.initialize({
      startOnLoad: false,
      securityLevel: "strict",
      theme: dark() ? "dark" : "neutral",
      fontFamily: "inherit",
      flowchart: { curve: "linear", useMaxWidth: true },
      sequence: { mirrorActors: false, bottomMarginAdj: 14, useMaxWidth: true, showSequenceNumbers: true },
    });
    for (const [index, block] of blocks.entries()) {
      block.dataset.source ??= block.textContent;
      const drawn = await window.mermaid.render(`diagram-${index}`, block.dataset.source);
      block.innerHTML = drawn.svg;
      const svg = block.querySelector("svg");
      // On a phone it scrolls, rather than shrink until nobody can read it.
      svg.style.minWidth = `${Math.min(svg.viewBox.baseVal.width, 640)}px`;
      block.classList.add("drawn");
    }
  };

  document.addEventListener("DOMContentLoaded", () => {
    const blocks = [...document.querySelectorAll("pre.diagram, div.diagram")];
    if (!blocks.length) return;
    const script = document.createElement("script");
    script.src = `${here}mermaid.min.js`;
    script.onload = () => {
      draw(blocks);
      new MutationObserver(() => draw(blocks)).observe(document.body, {
        attributeFilter: ["data-md-color-scheme"],
      });
    };
    document.head.append(script);
  });
})();
