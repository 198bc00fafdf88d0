/*
 * Long lists take one stop of the Tab key: the arrow keys, Home and End move between their
 * items. What can be focused inside of an item is a stop only while that item is the current
 * one, which is the item that had the focus last.
 */

const CONTROLS = 'a[href], button';
const STEPS = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };

/**
 * Makes the elements of `container` that match `selector` such items, also those that are added
 * later. At first the first one is current, or the last if `latest`. The arrow keys also lead
 * from the field `above`, if there is one, to the first item, and back.
 */
export function roveFocus(container, selector, { latest = false, above = null } = {}) {
  let current = null;

  const items = () => [...container.querySelectorAll(selector)];

  const setCurrent = (item) => {
    if (item === current) return;
    if (current) setStops(current, -1);
    current = item;
    if (current) setStops(current, 0);
  };

  const choose = () => {
    if (current?.contains(document.activeElement)) return;
    const all = items();
    if (latest) setCurrent(all.at(-1) ?? null);
    else if (!all.includes(current)) setCurrent(all[0] ?? null);
  };

  const focus = (item) => {
    setCurrent(item);
    item.focus();
  };

  container.addEventListener('focusin', ({ target }) => {
    const item = target.closest(selector);
    if (item) setCurrent(item);
  });
  container.addEventListener('keydown', (event) => {
    const step = STEPS[event.key];
    const item = event.target.closest(selector);
    if (!step || !item || hasModifier(event)) return;
    event.preventDefault();
    const all = items();
    const index = all.indexOf(item) + step;
    if (step === -1 && index < 0) above?.focus();
    else focus(all[Math.min(Math.max(index, 0), all.length - 1)]);
  });
  above?.addEventListener('keydown', (event) => {
    const [first] = items();
    if (event.key !== 'ArrowDown' || !first || hasModifier(event)) return;
    event.preventDefault();
    focus(first);
  });
  new MutationObserver((records) => {
    for (const { addedNodes } of records) {
      for (const node of addedNodes) {
        if (node.nodeType === Node.ELEMENT_NODE) stopsIn(node, selector).forEach((each) => setStops(each, -1));
      }
    }
    if (current?.isConnected) setStops(current, 0);
    choose();
  }).observe(container, { childList: true, subtree: true });
}

/** Gives the tab stops of an element in a list to another one that may replace it, so that they can be compared. */
export function copyStops(from, to) {
  const [old, copies] = [from, to].map((element) => [...element.querySelectorAll(CONTROLS)]);
  copies.forEach((copy, index) => {
    const stop = old[index]?.getAttribute('tabindex');
    if (stop !== null && stop !== undefined) copy.setAttribute('tabindex', stop);
  });
}

function setStops(item, tabIndex) {
  for (const each of [item, ...item.querySelectorAll(CONTROLS)]) {
    if (each.getAttribute('tabindex') !== String(tabIndex)) each.setAttribute('tabindex', tabIndex);
  }
}

// The items that are in a new element, or that it is in.
function stopsIn(element, selector) {
  const around = element.closest(selector);
  return around ? [around] : [...element.querySelectorAll(selector)];
}

function hasModifier({ altKey, ctrlKey, metaKey, shiftKey, isComposing }) {
  return altKey || ctrlKey || metaKey || shiftKey || isComposing;
}
