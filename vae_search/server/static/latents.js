"use strict";
// Sliders of the latent traversal: each picks a tile of the decoded sheet. On a model's page they are fetched into it.

function show(slider) {
  const value = Number(slider.dataset.values.split(" ")[slider.value]);
  const place = slider.closest("li");
  place.querySelector(".value").textContent = value.toFixed(1).replace("-", "−");
  place.querySelector(".tile").style.backgroundPositionX = `-${Number(slider.dataset.gap) + Number(slider.value) * Number(slider.dataset.step)}px`;
  slider.setAttribute("aria-valuetext", `${value.toFixed(1)} standard deviations`);
}

function begin(place) {
  const list = place.querySelector(".latents");
  if (list !== null) list.hidden = false;
}

document.addEventListener("input", (event) => {
  if (event.target.matches(".latents input[type=range]")) show(event.target);
});

document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-latents]");
  if (link === null || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const place = document.getElementById("latents");
  place.querySelector("[role=status]").textContent = "The model is being decoded …";
  try {
    const answer = await fetch(link.href, { headers: { Accept: "text/html" } });
    const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("latents");
    if (!answer.ok || found === null) throw new Error("no latents");
    place.replaceChildren(...found.childNodes);
    begin(place);
  } catch {
    window.location.href = link.href; // the page there says what is wrong
  }
});

begin(document);
