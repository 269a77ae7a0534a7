// Tables as CSV.

// A spreadsheet runs a cell that begins like a formula; an apostrophe keeps it text.
/** @param {Cell} value */
function cell(value) {
  if (value === null || value === undefined) return "";
  const text = typeof value === "number" ? String(value) : /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}

// A text of rows of cells, the heads first.
/** @param {Cell[][]} rows */
export const csv = (rows) => rows.map((row) => row.map(cell).join(",")).join("\r\n");
