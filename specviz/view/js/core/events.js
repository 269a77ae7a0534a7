// Who wants to hear when something changes.
//   run, append, time, pick, columns, whatif, form, settings, theme, ended, rest    see state.js
//   costs                what a verifier call costs was set
//   connected            Gradio has mounted the page, see live.js
//   running              a run was started or has ended
//   address              the open section has changed what it says in the address
// An event goes to its hearers at once, in the order in which they asked to hear it.
/** @type {Record<string, ((detail?: any) => void)[]>} */
const hearers = {};

// on("run pick", (detail) => { ... })
/**
 * @param {string} names
 * @param {(detail?: any) => void} hear
 */
export function on(names, hear) {
  for (const name of names.split(" ")) (hearers[name] = hearers[name] || []).push(hear);
}

/**
 * @param {string} name
 * @param {unknown} [detail]
 */
export function emit(name, detail) {
  (hearers[name] || []).forEach((hear) => hear(detail));
}
