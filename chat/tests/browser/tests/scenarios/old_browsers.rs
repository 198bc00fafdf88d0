//! The page in the oldest browsers that chat/README.md names: Chrome and Edge 111, Firefox 121, Safari 16.2.

use serde_json::json;
use switchboard_browser::{Chat, Display};

/// Removes what one of these browsers lacks.
const REMOVE_NEWER_INTERFACES: &str = "
    const newer = [
        [URL, 'canParse', 'parse'],
        [Intl, 'Segmenter', 'DurationFormat'],
        [HTMLElement.prototype, 'showPopover', 'hidePopover', 'togglePopover', 'popover'],
        [HTMLDialogElement.prototype, 'requestClose', 'closedBy'],
        [Element.prototype, 'checkVisibility', 'getHTML', 'setHTML', 'setHTMLUnsafe', 'moveBefore'],
        [Document.prototype, 'startViewTransition', 'caretPositionFromPoint'],
        [Array, 'fromAsync'],
        [Object, 'groupBy'],
        [Map, 'groupBy'],
        [Promise, 'withResolvers', 'try'],
        [RegExp, 'escape'],
        [String.prototype, 'isWellFormed', 'toWellFormed'],
        [ArrayBuffer.prototype, 'resize', 'transfer'],
        [Set.prototype, 'union', 'intersection', 'difference', 'isSubsetOf', 'isSupersetOf', 'isDisjointFrom'],
        [Iterator.prototype, 'map', 'filter', 'take', 'drop', 'flatMap', 'reduce', 'toArray', 'forEach', 'some', 'every',
            'find'],
        [AbortSignal, 'any'],
        [globalThis, 'Iterator', 'CloseWatcher', 'EditContext', 'Highlight', 'navigation', 'requestIdleCallback',
            'scheduler', 'trustedTypes', 'TrustedTypePolicyFactory'],
        [Navigator.prototype, 'userActivation', 'userAgentData'],
    ];
    for (const [object, ...names] of newer) for (const name of names) delete object[name];
    // A browser without popovers shows such an element.
    addEventListener('DOMContentLoaded', () => {
        document.querySelectorAll('[popover]').forEach((element) => element.removeAttribute('popover'));
    });
";

#[test]
fn the_page_works_without_the_interfaces_of_newer_browsers() {
    let chat = Chat::open(&[]);
    let ada =
        chat.visitor_with("Ada", Display::default(), |page, _| page.run_before_each_document(REMOVE_NEWER_INTERFACES));
    ada.wait_for("!URL.canParse && !$('#toasts').showPopover && !globalThis.Iterator");
    ada.register();
    ada.say("See https://example.org/ about it.");
    ada.say("More");
    ada.sees_messages(&[("Ada", "See https://example.org/ about it."), ("Ada", "More")]);
    ada.wait_for_value("$$('.message .text a').map(({ href }) => href)", json!(["https://example.org/"]));
    ada.create_room("Hall", "public");
    // Dialogs, and a toast above one.
    ada.click("#topic-edit");
    ada.fill("#ask-input", "Music");
    ada.click("#ask-yes");
    ada.wait_for_value("$('#about-topic').textContent", "Music");
    ada.click("#account-open");
    ada.click("#password-change summary");
    ada.fill("#password-old", "correct horse battery staple");
    ada.fill("#password-new", "another horse and its staple");
    ada.press("Enter");
    ada.wait_for("$('#account-dialog').open && reachable(() => $('#toasts p'))");
}
