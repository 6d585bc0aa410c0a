/** What fields of forms hold, and how they are looked at. */

/** A part of a document, as JSON has it. */
export type Raw = Record<string, unknown>;
/** What is wrong, by field; fields within others have dots in their names. */
export type Mistakes = Record<string, string>;
/** Notes a mistake, the first of each field. */
export type Must = (field: string, ok: boolean, what: string) => void;

export const wholeNumber = (text: string, low: number, high: number) =>
  /^\d{1,9}$/.test(text.trim()) && Number(text) >= low && Number(text) <= high;
export const decimal = (text: string) => /^-?\d{1,30}(\.\d{1,30})?(e[+-]?\d{1,2})?$/i.test(text.trim());
