//! The size of dialogs and of the sign-in form: on each screen, in each language, and with text of twice the size every
//! control can be seen whole, with its focus ring, and no room is left blank.

use serde_json::json;
use switchboard_browser::{Chat, Display, User};

const SCREENS: &[(u32, u32)] = &[(360, 740), (740, 360), (820, 1180), (1440, 900)];

#[test]
fn every_control_is_seen_whole_with_its_focus_ring() {
    let chat = Chat::open(&[]);
    let ben = chat.user("Ben");
    ben.create_room("A rather long name of a room for a phone", "public");
    for language in ["en-GB", "fr", "zh-CN"] {
        let ada = chat.visitor(&format!("Ada {language}"), Display { language, ..Display::default() });
        for mode in ["login", "guest", "register"] {
            ada.click_on(&format!("$('#mode-{mode}').parentElement"));
            on_each_screen(&ada, &format!("{language}, {mode}"), "#sign-in");
        }
        ada.register();
        ada.wait_for("$('#member-list [data-user=Ben]')");
        ada.say("Is the focus ring of a message seen whole?");
        on_each_screen(&ada, &format!("{language}, chat"), "#chat");
        ada.evaluate("$('#find-room').click()");
        ada.wait_for("$('#found-rooms [data-room]')");
        on_each_screen(&ada, &format!("{language}, finding"), "#find-dialog");
        ada.evaluate("void ($('#create-part').open = true)");
        on_each_screen(&ada, &format!("{language}, creating"), "#find-dialog");
        ada.evaluate("$('#find-dialog').close()");
        ada.evaluate("$('#find-user').click()");
        ada.wait_for("$('#users-list [data-user=Ben]')");
        on_each_screen(&ada, &format!("{language}, users"), "#users-dialog");
        ada.evaluate("$('#users-dialog').close()");
        ada.wait_for("$('#member-list [data-user=Ben]')");
        ada.evaluate("$('#member-list [data-user=Ben]').click()");
        ada.wait_for("$('#user-dialog').open");
        on_each_screen(&ada, &format!("{language}, user"), "#user-dialog");
        ada.evaluate("$('#user-dialog').close()");
        ada.evaluate("$('#account-open').click()");
        ada.evaluate("$$('#account-dialog details').forEach((part) => { part.open = true; })");
        ada.wait_for("$('#session-list').childElementCount > 0");
        on_each_screen(&ada, &format!("{language}, account"), "#account-dialog");
        ada.evaluate("$('#delete-account').click()");
        ada.wait_for("$('#ask-dialog').open");
        ada.evaluate("$('#ask-form').requestSubmit()");
        ada.wait_for("$('#ask-note').textContent");
        on_each_screen(&ada, &format!("{language}, question"), "#ask-dialog");
    }
}

/// Checks the controls under `root` on each screen, with text of both sizes.
#[track_caller]
fn on_each_screen(user: &User, what: &str, root: &str) {
    for &(width, height) in SCREENS {
        user.set_display(Display { width, height, ..Display::default() });
        for size in ["100%", "200%"] {
            let clipped = user.evaluate(&format!(
                "(async () => {{
                    document.documentElement.style.fontSize = '{size}';
                    await nextFrame();
                    return ({CLIPPED})($('{root}'));
                }})()"
            ));
            assert_eq!(clipped, json!([]), "{what}, {width}x{height}, text of {size}");
        }
    }
    user.evaluate("void (document.documentElement.style.fontSize = '')");
    user.set_display(Display::default());
}

/// Focuses each control under an element as the keyboard does. Returns those of which a part, or a part of the focus
/// ring, is hidden by an element around them or lies outside the window, and the parts that scroll sideways or
/// are higher than their rows.
const CLIPPED: &str = "(root) => {
    const found = [];
    const shown = (element) => (element.matches('.segments input') ? element.nextElementSibling : element);
    for (const element of root.querySelectorAll('a[href], button, input, textarea, select, summary, [tabindex=\"0\"]')) {
        if (!element.checkVisibility({ visibilityProperty: true }) || element.disabled) continue;
        element.focus({ focusVisible: true });
        const visible = shown(element);
        const { outlineStyle, outlineWidth, outlineOffset } = getComputedStyle(visible);
        const ring = outlineStyle === 'none' ? 0 : Math.max(0, parseFloat(outlineWidth) + parseFloat(outlineOffset));
        const box = visible.getBoundingClientRect();
        const outer = { left: box.left - ring, top: box.top - ring, right: box.right + ring, bottom: box.bottom + ring };
        const bounds = [['the window', { left: 0, top: 0, right: innerWidth, bottom: innerHeight }]];
        for (let around = visible.parentElement; around; around = around.parentElement) {
            const { overflowX, overflowY, display } = getComputedStyle(around);
            if ((overflowX === 'visible' && overflowY === 'visible') || display === 'contents') continue;
            // A message or a large button need not fit into a low log.
            if (outer.bottom - outer.top > around.clientHeight) continue;
            const edge = around.getBoundingClientRect();
            const left = edge.left + around.clientLeft;
            const top = edge.top + around.clientTop;
            bounds.push([around.id || around.className || around.localName,
                { left, top, right: left + around.clientWidth, bottom: top + around.clientHeight }]);
        }
        for (const [name, { left, top, right, bottom }] of bounds) {
            const beyond = Math.max(left - outer.left, top - outer.top, outer.right - right, outer.bottom - bottom);
            // Positions of what scrolls are rounded.
            if (beyond > 1) found.push(`${element.id || element.outerHTML.slice(0, 80)}: ${beyond} px, by ${name}`);
        }
    }
    for (const part of [root, ...root.querySelectorAll('*')]) {
        const isWide = part.checkVisibility() && part.scrollWidth > part.clientWidth;
        const scrolls = ['auto', 'scroll'].includes(getComputedStyle(part).overflowX);
        if (isWide && scrolls) found.push(`${part.id || part.className} scrolls sideways`);
    }
    for (const list of root.querySelectorAll('ul')) {
        if (!list.checkVisibility() || !list.firstElementChild) continue;
        const top = list.firstElementChild.getBoundingClientRect().top;
        const blank = list.clientHeight - (list.lastElementChild.getBoundingClientRect().bottom - top);
        if (blank > 1) found.push(`${list.id}: ${blank} px are blank`);
    }
    return found;
}";
