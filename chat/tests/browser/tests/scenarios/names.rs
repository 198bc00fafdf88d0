//! Lists of names are in the order that a reader expects, and are searched by what one reads.

use switchboard_browser::{Chat, Display, User};

/// Waits until the list of this selector shows these names.
#[track_caller]
fn sees_names(user: &User, selector: &str, names: &[&str]) {
    user.wait_for_value(&format!("$$('{selector} .name').map(({{ textContent }}) => textContent)"), names);
}

#[test]
fn rooms_and_users_are_sorted_and_found_by_what_one_reads() {
    let chat = Chat::open(&[]);
    let ada = chat.user("Ada");
    for name in ["Rita", "Mia", "Sam"] {
        chat.user(name);
    }
    ada.click("#find-user");
    sees_names(&ada, "#users-list", &["Mia", "Rita", "Sam"]);
    ada.fill("#users-search", "m");
    sees_names(&ada, "#users-list", &["Mia"]);
    ada.fill("#users-search", "rn");
    sees_names(&ada, "#users-list", &[]);
    ada.click("#users-dialog .close");
    for name in ["Music", "corn", "Élan", "Zoë's"] {
        ada.create_room(name, "public");
    }
    sees_names(&ada, "#room-list", &["corn", "Élan", "Lobby", "Music", "Zoë's"]);
    for (text, found) in
        [("rn", &["corn"][..]), ("ELAN", &["Élan"]), ("é", &["Élan", "Zoë's"]), ("oe’", &["Zoë's"]), ("x", &[])]
    {
        ada.fill("#filter", text);
        sees_names(&ada, "#room-list", found);
    }
    ada.open_room_search();
    sees_names(&ada, "#found-rooms", &["corn", "Élan", "Lobby", "Music", "Zoë's"]);
    ada.fill("#find-search", "elan");
    sees_names(&ada, "#found-rooms", &["Élan"]);
}

#[test]
fn a_name_with_the_apostrophe_of_a_phone_is_the_name_with_that_of_a_keyboard() {
    let chat = Chat::open(&[]);
    let phone = chat.visitor("O’Brien", Display::default());
    phone.register();
    phone.wait_for_value("$('#account-open .name').textContent", "O'Brien");
    for typed in ["O'Brien", "o’brien"] {
        let other = chat.visitor(typed, Display::default());
        other.sign_in();
        other.wait_until_connected();
        other.wait_for_value("$('#account-open .name').textContent", "O'Brien");
    }
}
