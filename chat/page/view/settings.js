/*
 * The settings of this browser: the language, also on the sign-in form, and the theme.
 */

import { LANGUAGES, languageChoice, t } from '../strings.js';
import { $ } from './dom.js';
import { storageSlot } from './storage.js';

// The id of the field in which the user has changed the language, until the page is loaded again.
const changedIn = storageSlot('sessionStorage', 'language-field');

/** `beforeReload()` is called before the page is loaded again in another language. */
export function startSettings({ model, beforeReload }) {
  const canKeep = languageChoice.save(languageChoice.load());
  for (const field of [$('language'), $('sign-in-language')]) {
    field.append(new Option(t('settings.system_language'), ''));
    for (const [tag, name] of Object.entries(LANGUAGES)) {
      const option = new Option(name, tag);
      option.lang = tag;
      field.append(option);
    }
    field.value = languageChoice.load() ?? '';
    field.disabled = !canKeep;
    field.addEventListener('change', () => {
      beforeReload();
      changedIn.save(field.id);
      languageChoice.save(field.value || null);
      location.reload();
    });
  }
  $('sign-in-language').parentElement.hidden = !canKeep;
  $('settings-note').hidden = canKeep;

  const showTheme = () => { $(`theme-${theme.choice ?? 'system'}`).checked = true; };
  for (const choice of ['system', 'light', 'dark']) {
    $(`theme-${choice}`).addEventListener('change', () => { theme.choice = choice; });
  }
  $('settings').addEventListener('toggle', showTheme);
  showTheme();

  // The user may go on where they were, and choose again.
  model.watch(['you'], () => {
    if (model.you && changedIn.load() === 'language') {
      $('account-open').click();
      $('settings').open = true;
      $('language').focus();
      changedIn.save(null);
    }
  });
}

/** The sign-in form is shown: the focus goes back to its language, if the user has just changed it. */
export function focusChangedLanguage() {
  if (changedIn.load() === 'sign-in-language') $('sign-in-language').focus();
  changedIn.save(null);
}
