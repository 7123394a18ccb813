//! The cloud of the demo's shop: the three answers that `probes/diagnosis.yaml` asks for, in the shapes in which AWS gives
//! them. It answers also while the shop does not, and says what ails it.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::json;
use tokio::net::TcpListener;

use super::shop::{Breakage, Shop, answer};

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, shop: Arc<Shop>) {
    let router = Router::new()
        .route("/", post(ask))
        .route("/2015-03-31/functions/{name}/configuration", get(function))
        .with_state(shop);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!("the demo's cloud ended: {error}");
    }
}

/// What AWS takes as JSON is told apart by a header.
async fn ask(State(shop): State<Arc<Shop>>, headers: HeaderMap) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    match target.rsplit('.').next() {
        Some("DescribeTable") => {
            let status = if shop.is(Breakage::Database) { "UPDATING" } else { "ACTIVE" };
            let throughput = json!({ "ReadCapacityUnits": 10, "WriteCapacityUnits": 5, "NumberOfDecreasesToday": 0 });
            let table = json!({ "TableName": "Users", "TableStatus": status, "ProvisionedThroughput": throughput });
            answer(StatusCode::OK, &json!({ "Table": table }))
        }
        Some("DescribeUserPool") => {
            let status = if shop.is(Breakage::Login) { "Disabled" } else { "Enabled" };
            let pool = json!({ "Name": "shoppers", "Status": status, "EstimatedNumberOfUsers": 1_204 });
            answer(StatusCode::OK, &json!({ "UserPool": pool }))
        }
        _ => answer(StatusCode::BAD_REQUEST, &json!({ "__type": "UnknownOperationException" })),
    }
}

async fn function(State(shop): State<Arc<Shop>>) -> Response {
    let update = if shop.is(Breakage::Slow) { "InProgress" } else { "Successful" };
    answer(StatusCode::OK, &json!({ "State": "Active", "LastUpdateStatus": update, "MemorySize": 512 }))
}
