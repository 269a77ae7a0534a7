// What can be told of a prompt from its words. Pure.

// Words behind which an English sentence is not over.
const OPEN =
  /\b(a|an|and|are|as|at|because|but|by|called|for|from|had|has|have|his|her|in|into|is|its|my|of|on|or|our|so|than|that|the|their|to|was|were|when|which|who|will|with|your)$/i;

// Whether a prompt breaks off within a sentence, so that it is more likely a text to go on with than a message.
/** @param {string} prompt */
export const breaksOff = (prompt) => OPEN.test(prompt.trimEnd());
