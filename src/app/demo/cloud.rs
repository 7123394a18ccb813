//! The cloud of the demo's shop: the three answers that `probes/diagnosis.yaml` asks for and the [`pool`](super::pool) of
//! `probes/login.yaml`, in the shapes in which AWS gives them. It answers also while the shop does not, and says what ails it.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::json;
use tokio::net::TcpListener;

use super::pool::Pool;
use super::shop::{Breakage, Shop, answer};

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, shop: Arc<Shop>, pool: Arc<Pool>) {
    let router = Router::new()
        .route("/", post(ask))
        .route("/2015-03-31/functions/{name}/configuration", get(function))
        .with_state((shop, pool));
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!("the demo's cloud ended: {error}");
    }
}

/// What AWS takes as JSON is told apart by a header.
async fn ask(State((shop, pool)): State<(Arc<Shop>, Arc<Pool>)>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let action = target.rsplit('.').next();
    let input = serde_json::from_slice(&body).unwrap_or_default();
    if let Some((status, value)) = action.and_then(|action| pool.answer(action, &input, shop.time())) {
        if shop.is(Breakage::Login) {
            return answer(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "__type": "InternalErrorException" }));
        }
        return answer(status, &value);
    }
    match action {
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

async fn function(State((shop, _)): State<(Arc<Shop>, Arc<Pool>)>) -> Response {
    let update = if shop.is(Breakage::Slow) { "InProgress" } else { "Successful" };
    answer(StatusCode::OK, &json!({ "State": "Active", "LastUpdateStatus": update, "MemorySize": 512 }))
}
