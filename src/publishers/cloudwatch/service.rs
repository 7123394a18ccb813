//! Where requests go: the service of one region, under one namespace.

use std::sync::Arc;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::operation::RequestId as _;
use futures::future::BoxFuture;
use tokio::sync::OnceCell;

use super::packet::Packet;
use super::settings::Namespace;
use crate::net::aws::{Aws, Trouble, TroubleKind};

/// Takes requests. The publisher's tests have one that does as it is told.
pub trait Service: Send + Sync {
    /// One request, with the repetitions that the SDK makes of itself.
    fn put<'a>(&'a self, packets: &'a [Packet]) -> BoxFuture<'a, Result<(), Trouble>>;
}

/// `PutMetricData`.
pub struct Api {
    namespace: Namespace,
    location: Arc<str>,
    aws: Arc<Aws>,
    /// Made at the first request.
    client: OnceCell<Client>,
}

impl Api {
    /// Nothing is read or sent yet.
    pub fn new(namespace: Namespace, location: Arc<str>, aws: Arc<Aws>) -> Self {
        Self { namespace, location, aws, client: OnceCell::new() }
    }
}

impl Service for Api {
    fn put<'a>(&'a self, packets: &'a [Packet]) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async {
            let transient = |message| Trouble { kind: TroubleKind::Transient, message, retry_after: None };
            let client = self.client.get_or_try_init(|| async { self.aws.config().await.map(Client::new) });
            let client = client.await.map_err(|error| transient(error.to_string()))?;
            let data = packets.iter().flat_map(|packet| packet.data(&self.location)).collect();
            let request = client.put_metric_data().namespace(self.namespace.as_str()).set_metric_data(Some(data));
            let answer = request.send().await.map_err(|error| self.aws.trouble(&error))?;
            // The SDK takes any 200 for a success. Every answer of the service has an id; a login page on the way has none.
            let id = answer.request_id();
            id.map(drop).ok_or_else(|| transient("an answer that is not from AWS, with status 200".to_owned()))
        })
    }
}
