//! Two people talk, in a room and in private.

use switchboard_browser::Chat;

#[test]
fn what_one_says_all_read_once_and_in_order() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.person(name));

    ada.say("Hello, is anybody here?");
    ben.say("I am.");
    ada.say("Good.\nThen let us begin.");
    ben.say("Yes 👋");

    let said =
        [("Ada", "Hello, is anybody here?"), ("Ben", "I am."), ("Ada", "Good.\nThen let us begin."), ("Ben", "Yes 👋")];
    ada.reads(&said);
    ben.reads(&said);
}

#[test]
fn what_is_said_elsewhere_is_counted_until_it_is_read() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.person(name));
    ben.say("Ask me anything.");
    ada.reads(&[("Ben", "Ask me anything.")]);

    ada.write_to("Ben");
    ada.say("Between us:");
    ada.say("how does it go?");
    ben.has_unread("Ada", 2);
    ben.wait_for_value("document.title", "(2) Lobby – switchboard");

    ben.say("Somebody asks something.");
    ada.has_unread("Lobby", 1);

    ben.open("Ada");
    ben.reads(&[("Ada", "Between us:"), ("Ada", "how does it go?")]);
    ben.has_unread("Ada", 0);
    ben.say("Well.");
    ada.reads(&[("Ada", "Between us:"), ("Ada", "how does it go?"), ("Ben", "Well.")]);
    ada.open("Lobby");
    ada.has_unread("Lobby", 0);
    ada.reads(&[("Ben", "Ask me anything."), ("Ben", "Somebody asks something.")]);
}
