/*
 * Layers: dialogs, and the details of a room where they cover it. While the page is too narrow to show
 * everything side by side, each open layer is an entry of the browser's history, so that the back button
 * closes the uppermost layer before it leaves the room.
 */

import { wide } from './dom.js';

const layers = []; // functions that close the open layers, the uppermost last
let depth = 0; // how many layers the current entry of the history has
let isGoing = false; // whether the history is going back to such an entry
let waiting = []; // functions to call when the history has as many layers as the page

/** A layer was opened, which `close` closes. */
export function layerOpened(close) {
  if (wide.matches || layers.includes(close)) return;
  layers.push(close);
  reconcile();
}

/** A layer is closed. */
export function layerClosed(close) {
  const index = layers.indexOf(close);
  if (index < 0) return;
  layers.splice(index, 1);
  reconcile();
}

/** Closes all layers. Resolves when the history has no entry of them, and the address may be changed. */
export async function closeLayers() {
  while (layers.length > 0) layers.pop()();
  await null; // Observers of dialogs report the closed ones.
  reconcile();
  if (depth > 0) await new Promise((resolve) => waiting.push(resolve));
}

/** Makes each dialog a layer. */
export function watchDialogs() {
  for (const dialog of document.querySelectorAll('dialog')) {
    const close = () => dialog.close();
    const observer = new MutationObserver(() => (dialog.open ? layerOpened(close) : layerClosed(close)));
    observer.observe(dialog, { attributeFilter: ['open'] });
  }
  // After a reload nothing is open, but the history may be at the entry of a layer.
  depth = history.state?.layer ?? 0;
  reconcile();
}

// An entry of a layer that was closed by following a link is skipped.
function reconcile() {
  if (isGoing) return;
  while (depth < layers.length) {
    depth += 1;
    history.pushState({ layer: depth }, '');
  }
  if (depth > layers.length) {
    isGoing = true;
    history.go(layers.length - depth);
    return;
  }
  waiting.forEach((resolve) => resolve());
  waiting = [];
}

addEventListener('popstate', ({ state }) => {
  depth = state?.layer ?? 0;
  if (!isGoing) {
    while (layers.length > depth) layers.pop()();
  }
  isGoing = false;
  reconcile();
});
