/*
 * The sign-in form: for an account, a new account or a guest. When a session has ended it
 * covers the chat, which keeps its state.
 */

import { errorText, setLimits, t } from '../strings.js';
import { showError } from './dialogs.js';
import { $, lengthOf } from './dom.js';
import { storageSlot } from './storage.js';

const RETRY_AFTER = 3_000;
// Errors about the password; the others are about the name.
const PASSWORD_ERRORS = ['bad_password', 'bad_credentials'];

// Why a session has ended. A newer server may send other reasons.
const EXPIRY_REASONS = ['none', 'unknown', 'idle', 'lifetime', 'logout', 'revoked', 'deleted'];

const lastName = storageSlot('localStorage', 'name');
// What the user had entered before the page was loaded again in another language.
const kept = storageSlot('sessionStorage', 'sign-in');

export class SignIn {
  #client;
  #onSignedIn;
  #model;
  #isBusy = false; // while a request is under way

  /** `onSignedIn(you)` is called when a user has signed in. */
  constructor({ client, model, onSignedIn }) {
    this.#client = client;
    this.#model = model;
    this.#onSignedIn = onSignedIn;
    $('modes').addEventListener('change', () => this.#showMode());
    $('password-show').addEventListener('click', () => this.#togglePassword());
    $('sign-in-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  /** Uses the current session if there is one, otherwise shows the form. `session`: a request that is under way. */
  async begin(session = this.#client.session()) {
    try {
      const { you, guests, registration, accounts, limits } = await session;
      this.#model.limits = limits;
      setLimits(limits);
      $('mode-guest').parentElement.hidden = !guests;
      $('mode-register').parentElement.hidden = !registration;
      $('modes').hidden = !guests && !registration;
      if (you) this.#onSignedIn(you);
      else this.show({ mode: registration && !accounts ? 'register' : 'login' });
    } catch (error) {
      if ($('sign-in').hidden) this.show();
      this.#showError(errorText(error));
      setTimeout(() => this.begin(), RETRY_AFTER);
    }
  }

  /** Shows the form in this mode. `reason` says why the session has ended; a user then signs in as before. */
  show({ reason = null, mode = 'login' } = {}) {
    const wasHidden = $('sign-in').hidden;
    $('sign-in').hidden = false;
    $('chat').inert = true;
    $('chat').classList.add('covered');
    const entered = wasHidden ? kept.load() : null;
    kept.save(null);
    if (wasHidden) $(`mode-${entered?.mode ?? mode}`).checked = true;
    this.#showMode();
    const expiry = EXPIRY_REASONS.includes(reason) ? reason : 'unknown';
    $('sign-in-lead').textContent = reason ? t(`expired.${expiry}`) : t('sign_in.lead');
    if (!wasHidden) return;
    $('name').value = entered?.name ?? lastName.load() ?? '';
    $('password').value = '';
    (reason && mode === 'login' && $('name').value ? $('password') : $('name')).focus();
  }

  /** Keeps what the user has entered, except the password, for the next load of the page. */
  keepForm() {
    if (!$('sign-in').hidden) kept.save({ mode: this.#mode, name: $('name').value });
  }

  hide() {
    $('sign-in').hidden = true;
    $('password').value = '';
    $('chat').hidden = false;
    $('chat').inert = false;
    $('chat').classList.remove('covered');
  }

  get #mode() {
    return document.querySelector('input[name="mode"]:checked').value;
  }

  #showMode() {
    const mode = this.#mode;
    $('password-part').hidden = mode === 'guest';
    $('password').autocomplete = mode === 'register' ? 'new-password' : 'current-password';
    $('password-hint').textContent = mode === 'register' && this.#model.limits ? t('sign_in.password_hint') : '';
    $('name-hint').textContent = mode !== 'login' && this.#model.limits ? t('sign_in.name_hint') : '';
    $('sign-in-title').textContent = t(`sign_in.title_${mode}`);
    $('sign-in-button').textContent = t(`sign_in.enter_${mode}`);
    this.#showError('');
  }

  #togglePassword() {
    const shown = $('password').type === 'text';
    $('password').type = shown ? 'password' : 'text';
    $('password-show').ariaPressed = String(!shown);
  }

  async #submit() {
    if (this.#isBusy) return;
    const mode = this.#mode;
    const name = $('name').value.trim();
    const password = $('password').value;
    if (!name) return this.#showError(t('sign_in.no_name'), $('name'));
    if (mode === 'login' && !password) return this.#showError(t('sign_in.no_password'), $('password'));
    // An existing account may be from a time with other limits.
    const limits = mode === 'login' ? null : this.#model.limits;
    const length = lengthOf(name.normalize());
    if (length > limits?.name) return this.#showError(t('sign_in.long_name', { count: length }), $('name'));
    if (mode === 'register' && lengthOf(password) < limits?.password_min) {
      return this.#showError(t('sign_in.short_password'), $('password'));
    }

    this.#setBusy(true);
    this.#showError('');
    try {
      const { you } = await this.#client[mode]({ name, password });
      lastName.save(you.name);
      this.#onSignedIn(you);
    } catch (error) {
      const field = PASSWORD_ERRORS.includes(error.code) && mode !== 'guest' ? $('password') : $('name');
      this.#showError(errorText(error), field);
    } finally {
      this.#setBusy(false);
    }
  }

  // The button is not disabled: it would lose the focus.
  #setBusy(busy) {
    this.#isBusy = busy;
    $('sign-in-button').ariaDisabled = busy ? 'true' : null;
  }

  #showError(text, field = null) {
    showError($('sign-in-form'), $('sign-in-note'), text, field);
  }
}
