/*
 * The texts of the page in the language that the user has chosen, or else in the first of
 * the browser's languages that has a file in strings/, or in English.
 *
 * All files have the same keys; `en.js` says how to write one. A missing key throws an
 * error where it is used.
 */

import { storageSlot } from './view/storage.js';

/** The languages of the page, each by its own name. */
export const LANGUAGES = { en: 'English', fr: 'Français', zh: '中文' };

/** The user's choice, which counts from the next load of the page; null for the browser's language. */
export const languageChoice = storageSlot('localStorage', 'language');

const languageOf = (tag) => tag.toLowerCase().split('-')[0];
const chosen = Object.keys(LANGUAGES).find((tag) => tag === languageChoice.load());
export const language = chosen ?? navigator.languages.map(languageOf).find((tag) => tag in LANGUAGES) ?? 'en';

/** The locale of dates and times: the browser's, unless the user has chosen another language. */
export const locale = chosen && (navigator.languages.find((tag) => languageOf(tag) === chosen) ?? chosen);

const { strings } = await import(`./strings/${language}.js`);
const plurals = new Intl.PluralRules(language);
const numbers = new Intl.NumberFormat(language);

/** Returns the text of this key, with `{name}` replaced by `values.name`. `values.count` selects the plural form. */
export function t(key, values = {}) {
  let text = key.split('.').reduce((part, name) => part?.[name], strings);
  if (typeof text === 'object') text = text[plurals.select(values.count)] ?? text.other;
  if (typeof text !== 'string') throw new Error(`strings/${language}.js has no ${key}`);
  return text.replace(/\{(\w+)\}/g, (_, name) => shown(values[name]));
}

/** Returns the text for an error: that for the event and code, else that for the code, else the server's message. */
export function errorText({ code, message, retryAfter, event }) {
  if (retryAfter && Object.hasOwn(strings.wait_for, code)) return t(`wait_for.${code}`, { count: retryAfter });
  const known = [strings.errors_of[event] ?? {}, strings.errors].find((sentences) => Object.hasOwn(sentences, code));
  return known ? known[code] : message;
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
