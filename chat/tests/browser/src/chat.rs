//! The whole: a server, and a browser in which people open the chat, each over a network of their own.

use std::{cell::RefCell, rc::Rc};

use crate::{Browser, Look, Person, Proxy, Server};

/// A chat to be tested. It ends when dropped.
pub struct Chat {
    // In the order in which they are to be dropped: the browser asks its pages whether all was well, and a network that
    // is gone would not be.
    pub browser: Browser,
    networks: RefCell<Vec<Rc<Proxy>>>,
    pub server: Server,
}

impl Chat {
    /// Opens one whose server has these arguments.
    #[track_caller]
    pub fn open(arguments: &[&str]) -> Self {
        // Everybody here signs in from the same address.
        let server = Server::start(&[&["--sign-in-rate", "1000+1000/s"], arguments].concat());
        Self { browser: Browser::start(), networks: RefCell::default(), server }
    }

    /// Somebody who has the page before them.
    #[track_caller]
    pub fn visitor(&self, name: &str, look: Look) -> Person {
        let network = Rc::new(Proxy::start(self.server.address()));
        self.networks.borrow_mut().push(Rc::clone(&network));
        Person::before(self.browser.page(name, look), name, network)
    }

    /// Somebody with an account, who is in the Lobby.
    #[track_caller]
    pub fn person(&self, name: &str) -> Person {
        let person = self.visitor(name, Look::default());
        person.register();
        person.wait_for_value("$('#room-name').textContent", "Lobby");
        person
    }
}
