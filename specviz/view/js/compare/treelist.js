// A round's tree as a list, one candidate below the other, those behind a node indented under it; the same as
// compare/picture.js draws.
import { el } from "specviz/core/dom.js";
import * as forest from "specviz/core/forest.js";
import { prob } from "specviz/core/formats.js";
import { pickedToken } from "specviz/core/state.js";
import * as chances from "specviz/compare/chances.js";
import { plain, said, spokenOf } from "specviz/compare/picture.js";

/**
 * @param {Lane} lane
 * @param {Round} round
 * @param {Forest} forest
 */
export function list(lane, round, { nodes, own }) {
  const picked = pickedToken();
  const end = round.shape.path.at(-1) ?? -1;
  const known = chances.chances(lane, round);
  /**
   * @param {number} parent
   * @returns {HTMLElement | null}
   */
  const items = (parent) => {
    const here = nodes.filter((node) => node.parent === parent).map((node) => item(node));
    if (own && parent === end) here.push(ownItem(own.token));
    const chance = known.get(parent);
    if (chance) here.unshift(el("li", null, chances.listed(chance)));
    return here.length ? el("ul", null, here) : null;
  };
  /**
   * @param {TreeNode} treeNode
   * @returns {HTMLElement}
   */
  const item = ({ slot, token, elder, hidden }) => {
    const fill = el("i");
    const tick = el("b");
    if (token.judged >= 0) {
      fill.style.width = `${100 * token.accept}%`;
      tick.style.left = `${100 * token.uniform}%`;
    }
    const older = nodes.find((node) => node.slot === elder);
    const share = older?.token.fate === "rejected" && token.judged >= 0 ? forest.left(lane, older.token) : null;
    return el(
      "li",
      null,
      share === null ? null : el("p.leaves", null, `its elder leaves ${Math.round(100 * share)} %`),
      el(
        `button.listnode${forest.chosen(round, token) ? ".chosen" : ""}`,
        {
          type: "button",
          "data-slot": slot,
          "aria-pressed": String(picked?.key === token.key),
          "aria-label": spokenOf(round, token),
        },
        el(`span.t.${token.fate}`, null, el("bdi", null, plain(token))),
        token.judged >= 0 ? el("span.listbar", null, fill, tick) : null,
        token.judged >= 0 ? el("span.phi", null, `φ ${prob(token.accept)}`) : null,
        el("small", null, said(round, token, elder), hidden ? ` · +${hidden} behind it` : ""),
      ),
      items(slot),
    );
  };
  /** @param {Token} token */
  const ownItem = (token) =>
    el(
      "li",
      null,
      el(
        "p.listown",
        null,
        el(`span.t.${token.fate}`, null, el("bdi", null, plain(token))),
        el("small", null, token.fate === "bonus" ? "bonus: nothing refused" : "in place of the refused"),
      ),
    );
  return el("div.treelist", null, items(-1));
}
