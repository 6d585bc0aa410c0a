/** The page speaks English; numbers and dates follow the reader's own kind of English, and the reader's time zone. */
const own = typeof navigator === "undefined" ? "" : navigator.language;
export const LOCALE = /^en\b/i.test(own) ? own : "en-GB";
