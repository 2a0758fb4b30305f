//! Accepts or refuses an order by its amount, and reserves stock when the order has items.

use saga_core::document::{Document, Fields, Number, fields};
use saga_core::money::Amounts;
use saga_core::participant::{
    Context, Decision, Entities, EntityKey, EntityWrite, FieldError, Participant, Placement, Work,
};

use crate::input;

/// The inventory of one deployment.
#[derive(Debug, Clone)]
pub struct Inventory {
    /// An order of a greater amount is refused.
    pub limit: Number,
}

/// The kind of the entity that is the stock of one SKU; its id is the SKU.
pub const STOCK: &str = "stock";

/// At most so many items in one order: its stock rows, step and event are one transaction of at most 100
/// (<https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions>).
const MAX_ITEMS: usize = 50;
const MAX_QUANTITY: i64 = 1_000_000;

struct Item {
    sku: String,
    quantity: i64,
}

/// The items of an order, each SKU once. An order without items reserves no stock.
fn items(data: &Fields) -> Result<Vec<Item>, FieldError> {
    let list = match data.get("items") {
        None | Some(Document::Null) => return Ok(Vec::new()),
        Some(Document::List(list)) => list,
        Some(_) => return Err(FieldError::new("items", "must be a list of {sku, quantity}")),
    };
    if list.len() > MAX_ITEMS {
        return Err(FieldError::new("items", "must have at most 50 items"));
    }
    let mut items: Vec<Item> = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let at = |name: &str| format!("items[{index}].{name}");
        let Document::Map(item) = item else {
            return Err(FieldError::new(
                format!("items[{index}]"),
                "must be {sku, quantity}",
            ));
        };
        if let Some(unknown) = item
            .keys()
            .find(|name| !["sku", "quantity"].contains(&name.as_str()))
        {
            return Err(FieldError::new(at(unknown), "is not a known field"));
        }
        let sku = match item.get("sku") {
            Some(Document::Text(sku)) => {
                input::checked_name(sku).map_err(|problem| FieldError::new(at("sku"), problem))?
            }
            _ => return Err(FieldError::new(at("sku"), "must be a text")),
        };
        if !sku
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"/\\#?|%".contains(&byte))
        {
            return Err(FieldError::new(
                at("sku"),
                "must be printable ASCII without blanks, / \\ # ? % or |",
            ));
        }
        let quantity = match item.get("quantity") {
            Some(Document::Number(number)) => number.as_i64().filter(|n| (1..=MAX_QUANTITY).contains(n)),
            _ => None,
        };
        let quantity = quantity
            .ok_or_else(|| FieldError::new(at("quantity"), "must be a whole number from 1 to 1000000"))?;
        match items.iter_mut().find(|known| known.sku == sku) {
            Some(known) => known.quantity += quantity,
            None => items.push(Item { sku, quantity }),
        }
    }
    Ok(items)
}

fn available(stock: &Fields) -> i64 {
    stock
        .get("Available")
        .and_then(Document::as_number)
        .and_then(|number| number.as_i64())
        .unwrap_or(0)
}

fn stock_with(stock: &Fields, available: i64) -> Fields {
    let mut changed = stock.clone();
    changed.insert("Available".into(), available.into());
    changed
}

impl Participant for Inventory {
    fn name(&self) -> &'static str {
        "inventory"
    }

    fn accepts(&self) -> &'static [&'static str] {
        &["order_id", "amount", "items"]
    }

    fn decimals(&self) -> &'static [&'static str] {
        &input::AMOUNTS
    }

    fn check(&self, data: &Fields, _: Amounts) -> Vec<FieldError> {
        items(data).err().into_iter().collect()
    }

    fn placement(&self) -> Placement {
        Placement::Together
    }

    fn reads(&self, _: Work, context: Context<'_>) -> Vec<EntityKey> {
        let items = items(context.data).unwrap_or_default();
        items
            .iter()
            .map(|item| EntityKey::new(STOCK, &item.sku))
            .collect()
    }

    fn act(&self, context: Context<'_>, entities: &Entities) -> Decision {
        let Ok(amount) = input::amount_paid(context.data) else {
            return Decision::Refuse("the reserved amount is not valid".to_owned());
        };
        if *amount.number() > self.limit {
            return Decision::Refuse(format!("the amount {amount} is over the limit of {}", self.limit));
        }
        let items = match items(context.data) {
            Ok(items) => items,
            Err(error) => return Decision::Refuse(format!("{} {}", error.field, error.problem)),
        };
        let mut writes = Vec::new();
        for Item { sku, quantity } in items {
            let key = EntityKey::new(STOCK, &sku);
            let Some(stock) = entities.get(&key) else {
                return Decision::Refuse(format!("SKU {sku} is not in stock"));
            };
            let left = available(stock) - quantity;
            if left < 0 {
                return Decision::Refuse(format!("SKU {sku} has fewer than {quantity} left"));
            }
            writes.push(EntityWrite {
                key,
                fields: stock_with(stock, left),
            });
        }
        Decision::Accept {
            writes,
            output: fields([]),
        }
    }

    fn undo(&self, context: Context<'_>, entities: &Entities) -> Vec<EntityWrite> {
        let mut writes = Vec::new();
        for Item { sku, quantity } in items(context.data).unwrap_or_default() {
            let key = EntityKey::new(STOCK, &sku);
            // A SKU that was taken out of the range for good since has no row to give the quantity back to.
            if let Some(stock) = entities.get(&key) {
                let fields = stock_with(stock, available(stock).saturating_add(quantity));
                writes.push(EntityWrite { key, fields });
            }
        }
        writes
    }
}
