// The connection to Python: what Gradio gives the component once it is mounted, and the messages that come in.
import { emit } from "specviz/core/events.js";

let wired = null;

// {trigger, watch, props, server}, or null until Gradio has mounted the page; always null in a replay.
export const wire = () => wired;

export function connect(given) {
  wired = given;
  wired.watch("value", () => {
    const { value } = wired.props;
    setTimeout(() => receive(value)); // not in Gradio's own task
  });
  emit("connected");
}

// Tells whoever it concerns what came in, a JSON text.
export function receive(text) {
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    return;
  }
  emit("message", message);
}
