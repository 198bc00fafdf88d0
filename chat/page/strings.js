/*
 * What the page says, in the reader's language: the first of the browser's languages
 * that there is a file for in strings/, English failing that.
 *
 * All files have the same shape; `en.js` says how to write one. A key that is not
 * there is an error at the place that asks for it: it cannot be overlooked.
 */

const LANGUAGES = ['en', 'zh', 'fr'];

const wanted = navigator.languages.map((tag) => tag.toLowerCase().split('-')[0]);
export const language = wanted.find((tag) => LANGUAGES.includes(tag)) ?? 'en';

const { strings } = await import(`./strings/${language}.js`);
const plurals = new Intl.PluralRules(language);
const numbers = new Intl.NumberFormat(language);

/** The text of this key, `{name}` in it replaced by `values.name`; `values.count` chooses the plural form. */
export function t(key, values = {}) {
  let text = key.split('.').reduce((part, name) => part?.[name], strings);
  if (typeof text === 'object') text = text[plurals.select(values.count)] ?? text.other;
  if (typeof text !== 'string') throw new Error(`strings/${language}.js has no ${key}`);
  return text.replace(/\{(\w+)\}/g, (_, name) => shown(values[name]));
}

/** A sentence for an error: the language's own if it has one, for the event that failed if it can, or else the server's. */
export function errorText({ code, message, retryAfter, event }) {
  if (code === 'too_fast' && retryAfter) return t('too_fast_for', { count: retryAfter });
  const known = [strings.errors_of[event] ?? {}, strings.errors].find((sentences) => Object.hasOwn(sentences, code));
  return known ? known[code] : message;
}

/** Gives the elements under `root` their texts, names and placeholders. */
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

// What is put into a sentence must not reorder it: a right-to-left name stays by itself.
function shown(value) {
  return typeof value === 'number' ? numbers.format(value) : `\u2068${value}\u2069`;
}
