// What this is, where it comes from and how to cite it: the dialog About.
import { boot } from "specviz/core/boot.js";
import { el, set } from "specviz/core/dom.js";
import { state } from "specviz/core/state.js";
import { dialog } from "specviz/parts/dialog.js";

const PAPERS = [
  [
    "Speculative sampling",
    "Leviathan et al. 2023",
    "arxiv.org/abs/2211.17192",
    "Chen et al. 2023",
    "arxiv.org/abs/2302.01318",
  ],
  ["Typical acceptance", "Cai et al. 2024 (Medusa)", "arxiv.org/abs/2401.10774"],
  ["Cactus", "Hao and Mou, ICLR 2026", "arxiv.org/abs/2604.04987"],
];
const CACTUS = `@inproceedings{hao2026cactus,
  title     = {Cactus: constrained acceptance speculative sampling},
  author    = {Hao and Mou},
  booktitle = {International Conference on Learning Representations},
  year      = {2026},
  note      = {arXiv:2604.04987}
}`;

/** @param {string} version */
const own = (version) => `@software{specviz,
  title   = {specviz: acceptance rules in speculative decoding, seen token by token},
  author  = {{The specviz authors}},
  version = {${version}},
  year    = {2026},
  license = {Apache-2.0}
}`;

/** @param {string} address */
const link = (address) =>
  el("a", { href: `https://${address}`, target: "_blank", rel: "noreferrer" }, address.replace("/abs/", " "));

/** @type {HTMLDialogElement} */
let box;

/** @param {string} version */
function build(version) {
  const bibtex = `${own(version)}\n\n${CACTUS}`;
  const copy = el("button.plainbutton.outlined", { type: "button" }, "Copy BibTeX");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(bibtex);
      set(copy, "Copied");
    } catch {
      set(copy, "Select the text above");
    }
  });
  box = dialog(
    "credits",
    "About specviz",
    [el("h2", null, "specviz"), el("span.caption", null, version)],
    el(
      "p.lead",
      null,
      "Makes visible, measurable and trustworthy how an acceptance rule decides which drafted tokens live.",
    ),
    el(
      "p",
      null,
      "A draft and a verifier really run; lanes share their random numbers, so they differ only where their rules do. " +
        "Every number says whether it was measured, is exact, recorded or estimated. Nothing is asked of another host.",
    ),
    el("h3", null, "Read"),
    PAPERS.map(([title, ...cited]) =>
      el(
        "p",
        null,
        el("b", null, `${title}: `),
        cited.map((part, i) => (i % 2 ? [" (", link(part), i + 1 < cited.length ? "); " : ")"] : part)),
      ),
    ),
    el("p.caption", null, "Each rule's own source stands behind the ? beside its name."),
    el("h3", null, "Cite"),
    el("pre.bibtex", { tabindex: 0 }, bibtex),
    copy,
    el("h3", null, "Licences"),
    el(
      "p",
      null,
      "specviz: Apache-2.0. Models: ",
      (boot.pairs || []).map(({ title, licence }, i) => `${i ? "; " : ""}${title}, ${licence}`).join("") ||
        "see the foot of the page",
      ". Plots by plotly.js (MIT). Faces: Inter and JetBrains Mono (OFL 1.1).",
    ),
  );
}

export function button() {
  return el(
    "button.plainbutton",
    {
      type: "button",
      onclick: () => {
        if (!box) build(boot.version ?? state.run?.trace.versions.specviz ?? "");
        box.showModal();
        box.scrollTop = 0;
      },
    },
    "About",
  );
}
