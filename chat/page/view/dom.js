/*
 * Helpers of all views: elements by id, widths, templates, avatars. Names and messages are set
 * as text, never as HTML.
 */

import { fold } from '../names.js';
import { copyStops } from './roving.js';

const TONES = 8;
const PIECE = 10; // items; a phone four times slower than a desktop shows them within 50 ms
// The focusable elements of a list.
const CONTROLS = 'a, button';
const graphemes = Intl.Segmenter && new Intl.Segmenter(); // Firefox has it since version 125.

/** Matches while the page is as narrow as a phone, and shows one part at a time. */
export const narrow = matchMedia('(max-width: 47.99rem)');

/** Matches while the page is wide enough for the details beside the conversation. */
export const wide = matchMedia('(min-width: 75rem)');

/** Matches if a field that has the focus opens a keyboard over the page. */
export const touch = matchMedia('(pointer: coarse)');

export function $(id) {
  return document.getElementById(id);
}

/** Returns a copy of the element in this template. */
export function fromTemplate(id) {
  return $(id).content.firstElementChild.cloneNode(true);
}

export function find(element, selector) {
  return element.querySelector(selector);
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Makes an element the avatar of this name: its first letter, in a colour that depends on the name. */
export function showAvatar(element, name) {
  element.textContent = firstOf(name).toLocaleUpperCase();
  element.dataset.tone = toneOf(name);
}

/** Makes an element nobody's avatar. */
export function clearAvatar(element) {
  element.textContent = '';
  delete element.dataset.tone;
}

function firstOf(name) {
  const [first] = graphemes ? graphemes.segment(name) : name;
  return first?.segment ?? first ?? '';
}

/** Returns the number of characters of a text, as the server counts them. */
export function lengthOf(text) {
  return [...text].length;
}

/** Returns a function that calls `handler` once before the next frame. */
export function oncePerFrame(handler) {
  let isDue = false;
  return () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      handler();
    });
  };
}

/** Returns a function that calls `handler` when it has not been called for `pause` milliseconds. */
export function debounced(pause, handler) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(handler, pause);
  };
}

const awaited = new WeakMap(); // by list, the items that are still to be appended

/**
 * Appends the elements of many items to a list, some in each frame, so that the page answers meanwhile. `first`:
 * replaces those in the list, and those that are still to come.
 */
export function appendInPieces(list, items, elementOf, { first }) {
  if (first) list.replaceChildren();
  const rest = [...(first ? [] : awaited.get(list) ?? []), ...items];
  awaited.set(list, rest);
  const append = () => {
    if (awaited.get(list) !== rest) return;
    list.append(...rest.splice(0, PIECE).map(elementOf));
    if (rest.length > 0) requestAnimationFrame(append);
  };
  append();
}

/** Removes the items of a list whose names do not match a search, and those that are still to come. */
export function keepMatching(list, search) {
  awaited.delete(list);
  const wanted = fold(search.trim());
  for (const item of [...list.children]) {
    if (!fold(find(item, '.name').textContent).includes(wanted)) item.remove();
  }
}

/**
 * Shows these items in a list. Equal items keep their elements, so that the focus and a
 * click under way survive. If the focused item is gone, the next one gets the focus; if
 * none is left, the element `near` gets it.
 */
export function showItems(list, items, near = null) {
  const item = [...list.children].find((each) => each.contains(document.activeElement));
  const focused = item && positionOf(document.activeElement, item);
  items.forEach((item, index) => {
    const old = list.children[index];
    if (old) copyStops(old, item);
    if (!old) list.append(item);
    else if (!old.isEqualNode(item)) old.replaceWith(item);
  });
  while (list.childElementCount > items.length) list.lastElementChild.remove();
  if (!focused || list.contains(document.activeElement)) return;
  const same = [...list.querySelectorAll(CONTROLS)].find((each) => subjectOf(each) === focused.subject);
  const next = list.children[Math.min(focused.index, items.length - 1)];
  (same ?? next?.querySelectorAll(CONTROLS)[focused.control] ?? near)?.focus({ preventScroll: true });
}

// The position of a link or button in a list, and its subject.
function positionOf(element, item) {
  const index = [...item.parentElement.children].indexOf(item);
  const control = [...item.querySelectorAll(CONTROLS)].indexOf(element);
  return { index, control, subject: subjectOf(element) };
}

function subjectOf({ dataset }) {
  return dataset.room ?? dataset.user ?? dataset.choice;
}

// FNV-1a: the same name has the same colour for everyone.
export function toneOf(name) {
  let hash = 0x811c9dc5;
  for (const character of name) hash = Math.imul(hash ^ character.codePointAt(0), 0x01000193);
  return (hash >>> 0) % TONES;
}

