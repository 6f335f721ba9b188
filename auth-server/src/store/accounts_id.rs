//! The table `accounts_id`.

use database::{Error, Tx, sql};
use uuid::Uuid;

/// `None`: no server of this version has started yet.
pub async fn find(tx: &mut Tx) -> Result<Option<Uuid>, Error> {
    let found = sql!(
        tx,
        fetch_optional(Uuid,),
        "SELECT value FROM accounts_id WHERE id = 1"
    )?;
    Ok(found.map(|(value,)| value))
}

/// The one that is there, or else this one.
pub async fn find_or_insert(tx: &mut Tx, value: Uuid) -> Result<Uuid, Error> {
    sql!(
        tx,
        execute,
        "INSERT INTO accounts_id (id, value) VALUES (1, $1) ON CONFLICT (id) DO NOTHING",
        value
    )?;
    Ok(find(tx).await?.unwrap_or(value))
}
