"use strict";
(() => {
  const root = document.documentElement, theme = document.getElementById("theme"), tip = document.getElementById("tip");
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme || (prefersDark.matches ? "dark" : "light")) === "dark";
  const nameTheme = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
  theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; nameTheme(); });
  prefersDark.addEventListener("change", nameTheme);
  nameTheme();

  for (const button of document.querySelectorAll(".copier")) {
    const told = button.textContent;
    button.addEventListener("click", async () => {
      const code = document.getElementById(button.dataset.copies);
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        // Some browsers refuse a page from disk: select the text instead, once it is visible.
        const fold = code.closest("details");
        if (fold) fold.open = true;
        getSelection().selectAllChildren(code);
        button.textContent = document.execCommand("copy") ? "Copied" : "Selected: press Ctrl+C";
      }
      setTimeout(() => { button.textContent = told; }, 1500);
    });
  }

  document.addEventListener("pointermove", (event) => {
    const marked = event.target instanceof Element && event.target.closest("[data-tip]");
    tip.hidden = !marked;
    if (!marked) return;
    tip.textContent = marked.dataset.tip;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 12, innerWidth - width - 4))}px`;
    tip.style.top = `${event.clientY + 14 + height > innerHeight ? event.clientY - height - 10 : event.clientY + 14}px`;
  });

  for (const player of document.querySelectorAll(".player")) {
    const figure = player.closest("figure"), slider = player.querySelector("input");
    const output = player.querySelector("output"), play = player.querySelector("button");
    const times = player.dataset.times.split(" ");
    const paths = [...figure.querySelectorAll(".moving")].map((path) => [path, path.dataset.frames.split(";")]);
    let timer = 0;
    const show = () => {
      for (const [path, frames] of paths) path.setAttribute("d", frames[slider.value]);
      output.textContent = slider.ariaValueText = `step ${times[slider.value]}`;
    };
    const stop = () => { clearInterval(timer); timer = 0; play.textContent = "Play"; };
    const start = () => {
      if (slider.value === slider.max) slider.value = 0;
      play.textContent = "Pause";
      timer = setInterval(() => {
        if (slider.value === slider.max) { stop(); return; }
        slider.value = Number(slider.value) + 1;
        show();
      }, Math.max(40, 4000 / times.length));
    };
    slider.addEventListener("input", () => { stop(); show(); });
    play.addEventListener("click", () => (timer ? stop() : start()));
    show();
  }
})();
