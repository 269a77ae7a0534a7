// Moving a bar: by the pointer, by keys, or by a number that was typed.
import * as axis from "specviz/playground/axis.js";
import * as play from "specviz/playground/play.js";
import { state } from "specviz/playground/play.js";

/** @typedef {"draft" | "verifier"} Kind of a distribution */

/** @type {{ kind: Kind, index: number, from: Probs } | null} */
let grip = null; // the bar being moved, and the distribution it started from: the others rescale from there
/** @type {{ pointer: number, offset: number, picture: SVGSVGElement } | null} */
let held = null; // pointer

// Whether a pointer holds a bar.
export const holding = () => held !== null;

// The next move starts from the distribution as it is then.
export function release() {
  if (!held) grip = null;
}

/**
 * @param {Kind} kind
 * @param {number} index
 * @param {number} value
 */
function move(kind, index, value) {
  if (!grip || grip.kind !== kind || grip.index !== index) grip = { kind, index, from: [...state[kind]] };
  state[kind] = play.moved(state[kind], index, value, grip.from);
  play.changed("probs");
}

// A probability as it was typed.
/**
 * @param {Kind} kind
 * @param {number} index
 * @param {number} value
 */
export function put(kind, index, value) {
  grip = null;
  move(kind, index, value);
  grip = null;
}

/**
 * @param {KeyboardEvent} event
 * @param {Kind} kind
 * @param {number} index
 */
export function keys(event, kind, index) {
  const fine = event.shiftKey ? 0.001 : 0.01;
  /** @type {Record<string, number>} */
  const steps = {
    ArrowUp: fine,
    ArrowRight: fine,
    ArrowDown: -fine,
    ArrowLeft: -fine,
    PageUp: 0.1,
    PageDown: -0.1,
    Home: -2,
    End: 2,
  };
  if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const now = state[kind][index];
  const next = now + steps[event.key];
  move(kind, index, Math.min(1, Math.max(0, Math.abs(steps[event.key]) > 1 ? next : Math.round(next / fine) * fine)));
}

// Takes hold of a bar of a picture.
/**
 * @param {PointerEvent} event
 * @param {SVGSVGElement} picture
 * @param {Kind} kind
 * @param {number} index
 */
export function take(event, picture, kind, index) {
  if (event.button) return;
  event.preventDefault();
  grip = { kind, index, from: [...state[kind]] };
  const offset = event.clientY - (picture.getBoundingClientRect().top + axis.y(state[kind][index]));
  held = { pointer: event.pointerId, offset: Math.abs(offset) > 24 ? 0 : offset, picture };
  state.moving = true;
  picture.setPointerCapture(event.pointerId);
  /** @type {SVGElement | null} */
  const handle = picture.querySelector(`[data-grip="${kind} ${index}"]`);
  handle?.focus({ preventScroll: true });
  if (state.token !== index) {
    state.token = index;
    play.changed("focus");
  }
  drag(event);
}

/** @param {PointerEvent} event */
export function drag(event) {
  if (!held || !grip || event.pointerId !== held.pointer) return;
  move(grip.kind, grip.index, axis.at(event.clientY - held.offset - held.picture.getBoundingClientRect().top));
}

/** @param {PointerEvent} event */
export function drop(event) {
  if (!held || event.pointerId !== held.pointer) return;
  held = null;
  state.moving = false;
  play.changed("end");
}
