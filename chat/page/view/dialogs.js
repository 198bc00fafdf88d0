/*
 * Behaviour of all dialogs, a general question dialog, and toasts.
 */

import { errorText } from '../strings.js';
import { $, find, setText } from './dom.js';

const TOAST_SHOWN = 6_000;

let questions = 0; // counts questions: an answer that comes late belongs to an earlier one

/** Makes each dialog close by its button and by a click outside it. Escape closes a dialog anyway. */
export function prepareDialogs() {
  for (const dialog of document.querySelectorAll('dialog')) {
    // It closes on click: if it closed on pointerdown, the click of a touch would reach the
    // element below. The click must also begin outside.
    let began = false;
    const isBesideIt = (event) => event.target === dialog && isBeside(event, dialog.getBoundingClientRect());
    dialog.addEventListener('pointerdown', (event) => { began = isBesideIt(event); });
    dialog.addEventListener('click', (event) => {
      if (began && isBesideIt(event)) dialog.close();
    });
    dialog.querySelector('.close')?.addEventListener('click', () => dialog.close());
  }
}

/** Opens a search dialog. Focuses its field, unless that would open a phone's keyboard. */
export function openSearch(dialog, field) {
  field.value = '';
  dialog.showModal();
  if (matchMedia('(hover: hover)').matches) field.focus();
}

/** Closes all open dialogs. */
export function closeDialogs() {
  document.querySelectorAll('dialog[open]').forEach((dialog) => dialog.close());
}

/**
 * Returns a handler of a form's `submit`, which runs `action` and then `done` with its result. If the
 * action fails, `note` shows the error, and the field that it is about, `fieldOf(error)`, gets the
 * focus with its text selected. When `isShown` is false by then, a toast shows the error.
 */
export function submitHandler(form, { note, action, done = () => {}, fieldOf = () => null, isShown = () => true }) {
  let isBusy = false;
  const setBusy = (busy) => {
    isBusy = busy;
    // Not disabled: a disabled button loses the focus.
    if (isShown()) find(form, 'button.primary').ariaDisabled = busy ? 'true' : null;
  };
  return async (event) => {
    event.preventDefault();
    if (isBusy) return;
    setBusy(true);
    showError(form, note, '');
    try {
      const result = await action();
      if (isShown()) done(result);
    } catch (error) {
      if (isShown()) showError(form, note, errorText(error), fieldOf(error));
      else toast(errorText(error), 'alert');
    } finally {
      setBusy(false);
    }
  };
}

/** Shows an error in a form, and focuses the field that it is about, if any. An empty text removes the error. */
export function showError(form, note, text, field = null) {
  setText(note, text);
  for (const each of form.querySelectorAll('input, textarea')) each.ariaInvalid = each === field ? 'true' : null;
  field?.focus();
  field?.select();
}

/** Removes what the user has entered in a form, and its error. */
export function clearForm(form) {
  form.reset();
  showError(form, find(form, '.error'), '');
}

/**
 * Asks for a confirmation, or with `label` for a text, and then calls `act(text)`. If that
 * fails, the dialog stays open and shows the error. If it returns another question, that is asked next. `title` and
 * `text` may be nodes. `error`: shown from the beginning, because an earlier answer has failed.
 */
export function ask({
  title, text = '', yes, danger = false, label = null, type = 'text', value = '', error = null, act,
}) {
  const dialog = $('ask-dialog');
  const input = $('ask-input');
  const field = label === null ? null : input;
  $('ask-title').replaceChildren(...[title].flat());
  $('ask-text').replaceChildren(...[text].flat());
  $('ask-yes').textContent = yes;
  $('ask-yes').classList.toggle('danger', danger);
  $('ask-field').hidden = label === null;
  input.labels[0].textContent = label ?? '';
  input.type = type;
  input.autocomplete = type === 'password' ? 'current-password' : 'off';
  input.value = value;

  $('ask-yes').ariaDisabled = null;
  const question = ++questions;
  $('ask-no').onclick = () => dialog.close();
  $('ask-form').onsubmit = submitHandler($('ask-form'), {
    note: $('ask-note'),
    action: () => act(input.value),
    done(next) {
      dialog.close();
      if (next?.act) ask(next);
    },
    fieldOf: () => field,
    isShown: () => dialog.open && question === questions,
  });
  dialog.showModal();
  showError($('ask-form'), $('ask-note'), error ? errorText(error) : '', error && field);
  field?.select();
}

/** Removes the question and the toasts that were shown last. */
export function clearQuestion() {
  questions += 1;
  clearForm($('ask-form'));
  for (const id of ['ask-title', 'ask-text', 'ask-yes']) $(id).textContent = '';
  $('toasts').replaceChildren();
  hideToasts();
}

/** Shows a text, or nodes, for some seconds. With the role `alert`, screen readers announce it at once. */
export function toast(text, role = 'status') {
  const element = document.createElement('p');
  element.role = role;
  element.append(...[text].flat());
  const toasts = $('toasts');
  // Shown again so that it is above a dialog that was opened later.
  hideToasts();
  toasts.append(element);
  showToasts();
  setTimeout(() => {
    element.remove();
    if (toasts.childElementCount === 0) hideToasts();
  }, TOAST_SHOWN);
}

// Chrome has popovers since version 114, Firefox since 125, Safari since 17.
function showToasts() {
  const toasts = $('toasts');
  if (toasts.showPopover) toasts.showPopover();
  else ([...document.querySelectorAll('dialog[open]')].at(-1) ?? document.body).append(toasts);
}

function hideToasts() {
  const toasts = $('toasts');
  if (toasts.showPopover && toasts.matches(':popover-open')) toasts.hidePopover();
}

/** Runs an action and shows its error, if any. Returns whether it succeeded. */
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
