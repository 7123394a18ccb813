//! What may be asked here, and of whom: one row for each method of each path. The router serves these rows, the guard asks them
//! who may, and the test of every token on every route walks along them. What has no row is not there, and is said to be so only
//! to those who may read.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::api::operation::Operation;
use super::routes::Room;

/// Below it programs read and change.
pub const API: &str = "/api/";

/// Who may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Anybody: it says nothing of what is watched.
    Open,
    /// Whoever may read.
    Read,
    /// Whoever may change something.
    Operate,
    /// A job elsewhere, by the token in the path.
    Ping,
    /// A receiver, by what it signs.
    Signed,
}

/// What the guard must know of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who may.
    pub scope: Scope,
    /// A form of our own pages sends it: a password is enough, where the browser says from where it came.
    pub is_form: bool,
}

/// A method of a path, who may, and what answers.
pub struct Row {
    /// The method; with GET goes HEAD.
    pub method: Method,
    /// The path, as the router writes it.
    pub path: &'static str,
    /// What the guard must know.
    pub entry: Entry,
    /// What programs are told of it; nothing of what is for people.
    pub told: Option<Operation>,
    serve: MethodRouter<Arc<Room>, Infallible>,
}

impl Row {
    /// Something that is read. It never changes anything, since a browser asks for it wherever a foreign page makes it.
    pub fn get<H: Handler<T, Arc<Room>>, T: 'static>(scope: Scope, path: &'static str, handler: H) -> Self {
        Self::of(Method::GET, MethodFilter::GET, path, Entry { scope, is_form: false }, handler)
    }

    /// Something that programs bring.
    pub fn post<H: Handler<T, Arc<Room>>, T: 'static>(scope: Scope, path: &'static str, handler: H) -> Self {
        Self::of(Method::POST, MethodFilter::POST, path, Entry { scope, is_form: false }, handler)
    }

    /// Something that programs end.
    pub fn delete<H: Handler<T, Arc<Room>>, T: 'static>(scope: Scope, path: &'static str, handler: H) -> Self {
        Self::of(Method::DELETE, MethodFilter::DELETE, path, Entry { scope, is_form: false }, handler)
    }

    /// A form of our own pages.
    pub fn form<H: Handler<T, Arc<Room>>, T: 'static>(path: &'static str, handler: H) -> Self {
        Self::of(Method::POST, MethodFilter::POST, path, Entry { scope: Scope::Operate, is_form: true }, handler)
    }

    /// With what programs are told of it.
    #[must_use]
    pub fn told(mut self, operation: Operation) -> Self {
        self.told = Some(operation);
        self
    }

    fn of<H: Handler<T, Arc<Room>>, T: 'static>(
        method: Method,
        filter: MethodFilter,
        path: &'static str,
        entry: Entry,
        handler: H,
    ) -> Self {
        Self { method, path, entry, told: None, serve: on(filter, handler) }
    }
}

/// The rows by path, as the guard asks them.
#[derive(Debug)]
pub struct Table(BTreeMap<&'static str, Vec<(Method, Entry)>>);

impl Table {
    /// A table of rows, and the routes that serve them.
    pub fn of(rows: Vec<Row>) -> (Self, Router<Arc<Room>>) {
        let (mut table, mut router) = (BTreeMap::<_, Vec<_>>::new(), Router::new());
        for Row { method, path, entry, told: _, serve } in rows {
            table.entry(path).or_default().push((method, entry));
            router = router.route(path, serve);
        }
        (Self(table), router)
    }

    /// What is asked for, by the path that the router found. What it did not find is for those who may read to know.
    pub fn entry(&self, path: Option<&str>, method: &Method) -> Result<Entry, Vec<Method>> {
        let Some(of_path) = path.and_then(|path| self.0.get(path)) else {
            return Ok(Entry { scope: Scope::Read, is_form: false });
        };
        let served = if method == Method::HEAD { &Method::GET } else { method };
        of_path.iter().find(|(method, _)| method == served).map(|(_, entry)| *entry).ok_or_else(|| {
            let head = of_path.iter().any(|(method, _)| method == Method::GET).then_some(Method::HEAD);
            of_path.iter().map(|(method, _)| method.clone()).chain(head).collect()
        })
    }
}
