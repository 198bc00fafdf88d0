/*
 * The texts of the page in the language that the user has chosen, or else in the first of
 * the browser's languages that has a file in strings/, or in English.
 *
 * All files have the same keys; `en.js` says how to write one. A missing key throws an
 * error where it is used.
 */

import { storageSlot } from './view/storage.js';

// An isolation ends with its paragraph, or at the control that ends it.
const PARAGRAPH_ENDS = /[\n\v\f\r\x1C-\x1E\x85\u2028\u2029]/g;
const DIRECTION_CONTROLS = /[\u202A-\u202E\u2066-\u2069]/g;

/** The languages of the page, each by its own name. */
export const LANGUAGES = { en: 'English', fr: 'Français', zh: '中文' };

/** The user's choice, which counts from the next load of the page; null for the browser's language. */
export const languageChoice = storageSlot('localStorage', 'language');

const languageOf = (tag) => tag.toLowerCase().split('-')[0];
const chosen = Object.keys(LANGUAGES).find((tag) => tag === languageChoice.load());
export const language = chosen ?? navigator.languages.map(languageOf).find((tag) => tag in LANGUAGES) ?? 'en';

/** The locale of dates and times: the browser's, unless the user has chosen another language. */
export const locale = chosen && (navigator.languages.find((tag) => languageOf(tag) === chosen) ?? chosen);

const { strings } = await {
  en: () => import('./strings/en.js'),
  fr: () => import('./strings/fr.js'),
  zh: () => import('./strings/zh.js'),
}[language]();
const plurals = new Intl.PluralRules(language);
const numbers = new Intl.NumberFormat(language);
const lists = new Intl.ListFormat(language);

let limits = {};

/** Sets the server's limits: texts name `{max_name}`, `{max_room_name}`, `{min_password}` and `{max_password}`. */
export function setLimits({ name, room_name, password, password_min }) {
  limits = { max_name: name, max_room_name: room_name, max_password: password, min_password: password_min };
}

/** Returns the text of this key, with `{name}` replaced by `values.name`. `values.count` selects the plural form. */
export function t(key, values = {}) {
  return pieces(key, values).map(({ text }) => text).join('');
}

/**
 * Returns the pieces of such a text, `{text, name}`. `name` is that of an inserted value, or else undefined. Each value
 * of a list is a piece.
 */
export function pieces(key, values) {
  let text = key.split('.').reduce((part, name) => part?.[name], strings);
  if (typeof text === 'object') text = text[plurals.select(values.count)] ?? text.other;
  if (typeof text !== 'string') throw new Error(`strings/${language}.js has no ${key}`);
  // Every other piece is a name in braces.
  return text.split(/\{(\w+)\}/).flatMap((piece, index) => (
    index % 2 === 0 ? { text: piece } : piecesOf(values[piece] ?? limits[piece], piece)
  ));
}

/**
 * Isolates a text in a sentence around it, so that neither its direction nor a control character in it reorders the
 * sentence.
 */
export function isolated(text) {
  return `\u2068${String(text).replace(PARAGRAPH_ENDS, ' ').replace(DIRECTION_CONTROLS, '')}\u2069`;
}

/** Returns the text for an error: that for the event and code, else that for the code, else the server's message. */
export function errorText({ code, message, retryAfter, event }) {
  if (retryAfter && Object.hasOwn(strings.wait_for, code)) return t(`wait_for.${code}`, { count: retryAfter });
  const known = [strings.errors_of[event] ?? {}, strings.errors].find((sentences) => Object.hasOwn(sentences, code));
  const text = known?.[code];
  // The limits are not known before the server has answered.
  const isComplete = text && [...text.matchAll(/\{(\w+)\}/g)].every(([, name]) => name in limits);
  return isComplete ? text.replace(/\{(\w+)\}/g, (_, name) => shown(limits[name])) : message;
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

function piecesOf(value, name) {
  if (!Array.isArray(value)) return { text: shown(value), name };
  return lists.formatToParts(value.map(isolated))
    .map(({ type, value: text }) => (type === 'element' ? { text, name } : { text }));
}

function shown(value) {
  return typeof value === 'number' ? numbers.format(value) : isolated(value);
}
