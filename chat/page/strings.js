/*
 * The texts of the page in the user's language: the first of the browser's languages
 * that has a file in strings/, or English.
 *
 * All files have the same keys; `en.js` says how to write one. A missing key throws an
 * error where it is used.
 */

const LANGUAGES = ['en', 'zh', 'fr'];

const wanted = navigator.languages.map((tag) => tag.toLowerCase().split('-')[0]);
export const language = wanted.find((tag) => LANGUAGES.includes(tag)) ?? 'en';

const { strings } = await import(`./strings/${language}.js`);
const plurals = new Intl.PluralRules(language);
const numbers = new Intl.NumberFormat(language);

const VALUE = /\{(\w+)\}/g;

let limits = {};

/** Sets the server's limits, which texts name as `{max_name}`, `{max_room_name}`, `{min_password}`, `{max_password}`. */
export function setLimits({ name, room_name, password, password_min }) {
  limits = { max_name: name, max_room_name: room_name, max_password: password, min_password: password_min };
}

/** Returns the text of this key, with `{name}` replaced by `values.name`. `values.count` selects the plural form. */
export function t(key, values = {}) {
  let text = key.split('.').reduce((part, name) => part?.[name], strings);
  if (typeof text === 'object') text = text[plurals.select(values.count)] ?? text.other;
  if (typeof text !== 'string') throw new Error(`strings/${language}.js has no ${key}`);
  return filled(text, { ...limits, ...values });
}

function filled(text, values) {
  return text.replace(VALUE, (_, name) => shown(values[name]));
}

/** Returns the text for an error: that for the event and code, else that for the code, else the server's message. */
export function errorText({ code, message, retryAfter, event }) {
  if (retryAfter && Object.hasOwn(strings.wait_for, code)) return t(`wait_for.${code}`, { count: retryAfter });
  const known = [strings.errors_of[event] ?? {}, strings.errors].find((sentences) => Object.hasOwn(sentences, code));
  // The limits are not known before the server has answered.
  const isKnown = known && [...known[code].matchAll(VALUE)].every(([, name]) => name in limits);
  return isKnown ? filled(known[code], limits) : message;
}

/** Sets the texts, labels and placeholders of the elements under `root`. */
export function translatePage(root) {
  for (const element of root.querySelectorAll('[data-text]')) element.textContent = t(element.dataset.text);
  for (const element of root.querySelectorAll('[data-placeholder]')) element.placeholder = t(element.dataset.placeholder);
  for (const element of root.querySelectorAll('[data-label]')) {
    const label = t(element.dataset.label);
    element.ariaLabel = label;
    if (element.matches('button, a')) element.title = label;
  }
  for (const { content } of root.querySelectorAll('template')) translatePage(content);
}

// Isolates an inserted value, so that a right-to-left name does not reorder the sentence.
function shown(value) {
  return typeof value === 'number' ? numbers.format(value) : `\u2068${value}\u2069`;
}
