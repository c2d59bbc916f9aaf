"use strict";
for (const button of document.querySelectorAll(".save")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const text = document.getElementById(button.dataset.record).textContent;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = button.dataset.record + ".json";
    link.click();
    URL.revokeObjectURL(link.href);
  });
}
// Paper cannot be unfolded: assumptions and provenance are printed open, and folded again after.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open], .numbers)")];
  for (const each of folded) each.open = true;
});
addEventListener("afterprint", () => {
  for (const each of folded) each.open = false;
});
