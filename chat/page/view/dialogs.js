/*
 * What all dialogs do, a question that can be asked anywhere, and short news at the edge.
 */

import { errorText } from '../strings.js';
import { $ } from './dom.js';

const TOAST_SHOWN = 6_000;

/** Makes each dialog close by its button and by a click beside it; Escape does so by itself. */
export function prepareDialogs() {
  for (const dialog of document.querySelectorAll('dialog')) {
    // Not before the click: a finger's would reach what lies under the dialog. And not by one that began inside.
    let began = false;
    const isBesideIt = (event) => event.target === dialog && isBeside(event, dialog.getBoundingClientRect());
    dialog.addEventListener('pointerdown', (event) => { began = isBesideIt(event); });
    dialog.addEventListener('click', (event) => {
      if (began && isBesideIt(event)) dialog.close();
    });
    dialog.querySelector('.close')?.addEventListener('click', () => dialog.close());
  }
}

/** Opens a dialog where one searches: with the focus in its field, unless that would bring up a phone's keyboard. */
export function openSearch(dialog, field) {
  field.value = '';
  dialog.showModal();
  if (matchMedia('(hover: hover)').matches) field.focus();
}

/** Closes whatever dialogs are open. */
export function closeDialogs() {
  document.querySelectorAll('dialog[open]').forEach((dialog) => dialog.close());
}

/**
 * Asks for a yes, or with `label` for a text, and then does `act(text)`: when that fails,
 * the dialog stays and says why.
 */
export function ask({ title, text = '', yes, danger = false, label = null, type = 'text', value = '', act }) {
  const dialog = $('ask-dialog');
  const input = $('ask-input');
  $('ask-title').textContent = title;
  $('ask-text').textContent = text;
  $('ask-yes').textContent = yes;
  $('ask-yes').classList.toggle('danger', danger);
  $('ask-note').textContent = '';
  $('ask-field').hidden = label === null;
  input.labels[0].textContent = label ?? '';
  input.type = type;
  input.autocomplete = type === 'password' ? 'current-password' : 'off';
  input.value = value;

  $('ask-no').onclick = () => dialog.close();
  $('ask-form').onsubmit = async (event) => {
    event.preventDefault();
    $('ask-yes').disabled = true;
    try {
      await act(input.value);
      dialog.close();
    } catch (error) {
      $('ask-note').textContent = errorText(error);
    } finally {
      $('ask-yes').disabled = false;
    }
  };
  dialog.showModal();
  if (label !== null) input.select();
}

/** Shows a sentence for some seconds; with the role `alert` it is also read out at once. */
export function toast(text, role = 'status') {
  const element = document.createElement('p');
  element.role = role;
  element.textContent = text;
  const toasts = $('toasts');
  // Shown anew so that it is above a dialog that was opened later.
  if (toasts.matches(':popover-open')) toasts.hidePopover();
  toasts.append(element);
  toasts.showPopover();
  setTimeout(() => {
    element.remove();
    if (toasts.childElementCount === 0) toasts.hidePopover();
  }, TOAST_SHOWN);
}

/** Does something that may fail, and says so if it does; true if it did not. */
export async function attempt(action) {
  try {
    await action();
    return true;
  } catch (error) {
    toast(errorText(error), 'alert');
    return false;
  }
}

function isBeside({ clientX, clientY }, { left, right, top, bottom }) {
  return clientX < left || clientX > right || clientY < top || clientY > bottom;
}
